import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { parseScopes } from "../../../src/gateway/scope.ts";
import { adminLogin } from "./harness.ts";
import { pushImage, pushLogin } from "./registry-client.ts";
import { openStage, type Stage, skip } from "./stage.ts";

const byName = (one: { readonly name: string }, other: { readonly name: string }) => one.name.localeCompare(other.name);

describe("a mount from another repository, before the real Distribution", { skip }, () => {
  let stage: Stage;
  before(async () => {
    stage = await openStage();
  });
  after(() => stage.close());

  test("a mount from a source that may not be read becomes an ordinary upload", async () => {
    const image = await pushImage(stage.client, adminLogin, { repository: "team-b/base", tag: "v1", content: "b" });
    const headers = await stage.bearer(
      pushLogin("team-a", "uid-a"),
      "repository:team-a/app:pull,push",
      "repository:team-b/base:pull",
    );
    const path = `/v2/team-a/app/blobs/uploads/?mount=${image.layer}&from=team-b/base`;
    assert.equal((await stage.client.ask("POST", path, { headers })).status, 202);
    assert.equal((await stage.client.ask("HEAD", `/v2/team-a/app/blobs/${image.layer}`, { headers })).status, 404);
  });

  test("a mount hidden in a form body mounts nothing", async () => {
    const image = await pushImage(stage.client, adminLogin, { repository: "team-b/form", tag: "v1", content: "form" });
    const headers = {
      ...(await stage.bearer(pushLogin("team-a", "uid-a"), "repository:team-a/app:pull,push")),
      "content-type": "application/x-www-form-urlencoded",
    };
    const body = `mount=${image.layer}&from=team-b/form`;
    assert.equal((await stage.client.ask("POST", "/v2/team-a/app/blobs/uploads/", { headers, body })).status, 202);
    assert.equal((await stage.client.ask("HEAD", `/v2/team-a/app/blobs/${image.layer}`, { headers })).status, 404);
  });

  test("a mount from a source that may be read mounts", async () => {
    const image = await pushImage(stage.client, pushLogin("team-a", "uid-a"), {
      repository: "team-a/from",
      tag: "v1",
      content: "m",
    });
    const headers = await stage.bearer(
      pushLogin("team-a", "uid-a"),
      "repository:team-a/to:pull,push",
      "repository:team-a/from:pull",
    );
    const path = `/v2/team-a/to/blobs/uploads/?mount=${image.layer}&from=team-a/from`;
    assert.equal((await stage.client.ask("POST", path, { headers })).status, 201);
  });

  test("a client that asks for the scopes of the challenge, and for nothing else, mounts at its second try", async () => {
    const image = await pushImage(stage.client, adminLogin, {
      repository: "team-a/readable",
      tag: "v1",
      content: "m",
    });
    const login = pushLogin("team-a", "uid-a");
    for (const [from, want] of [
      ["team-a/readable", 201],
      ["team-b/base", 202],
    ] as const) {
      const path = `/v2/team-a/challenged/blobs/uploads/?mount=${image.layer}&from=${from}`;
      const refused = await stage.client.ask("POST", path);
      const theirs = await fetch(`${stage.store.url}${path}`, { method: "POST" });
      assert.deepEqual(JSON.parse(refused.body.toString()), await theirs.json());
      const [, scopes = ""] = /scope="([^"]*)"/.exec(refused.headers["www-authenticate"] ?? "") ?? [];
      const theirScopes = /scope="([^"]*)"/.exec(theirs.headers.get("www-authenticate") ?? "")?.[1] ?? "";
      // Distribution's order is another one each time.
      assert.deepEqual(parseScopes([scopes]).toSorted(byName), parseScopes([theirScopes]).toSorted(byName));
      const mounted = await stage.client.ask("POST", path, {
        headers: await stage.bearer(login, ...scopes.split(" ")),
      });
      assert.equal(mounted.status, want, from);
    }
  });
});
