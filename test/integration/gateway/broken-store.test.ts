import assert from "node:assert/strict";
import { rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { adminLogin } from "./harness.ts";
import { type Answer, digestOf, manifestType, pushImage } from "./registry-client.ts";
import { openStage, type Stage, skip } from "./stage.ts";

const repository = "team-a/app";
const scopes = [
  `repository:${repository}:pull,push,delete`,
  "repository:team-a/other:pull,push",
  "registry:catalog:*",
] as const;

describe("what Distribution says of its storage, before the real one", { skip }, () => {
  let stage: Stage;
  let headers: { authorization: string };
  before(async () => {
    stage = await openStage();
    headers = await stage.bearer(adminLogin, ...scopes);
  });
  after(() => stage.close());

  /** @returns the codes of the OCI error body, which names no place of the storage */
  function codesOf(answer: Answer, what: string): readonly string[] {
    const text = answer.body.toString();
    for (const place of [stage.store.folder, "docker/registry", "filesystem"]) {
      assert.ok(!text.includes(place), `${what}: ${text}`);
    }
    const { errors } = JSON.parse(text) as { errors: readonly { code: string; message: string }[] };
    for (const { message } of errors) assert.ok(message !== "", what);
    return errors.map(({ code }) => code);
  }
  const ask = (method: string, path: string, body?: string) =>
    stage.client.ask(method, path, {
      headers: { ...headers, accept: manifestType, ...(body === undefined ? {} : { "content-type": manifestType }) },
      ...(body === undefined ? {} : { body }),
    });
  const begin = async (): Promise<Answer> => await ask("POST", `/v2/${repository}/blobs/uploads/`);
  const locationOf = ({ headers: { location = "" } }: Answer): string => {
    const { pathname, search } = new URL(location);
    return `${pathname}${search}`;
  };

  test("a tag that is unknown is deleted with 404 MANIFEST_UNKNOWN, and no more is said", async () => {
    await pushImage(stage.client, adminLogin, { repository, tag: "1" });
    for (const path of [`/v2/${repository}/manifests/nope`, "/v2/team-a/other/manifests/nope"]) {
      const authorized = await stage.bearer(adminLogin, ...scopes, "repository:team-a/other:delete");
      const answer = await stage.client.ask("DELETE", path, { headers: authorized });
      assert.equal(answer.status, 404);
      assert.deepEqual(codesOf(answer, path), ["MANIFEST_UNKNOWN"]);
    }
  });

  /** A file where Distribution has a folder: it can neither read nor write below it. */
  const folders = ["", "/team-a/app/_manifests", "/team-a/app/_layers", "/team-a/app/_uploads"];
  for (const folder of folders) {
    test(`nothing is told of a storage that is broken at repositories${folder}, whatever is asked`, async () => {
      const { layer, manifest } = await pushImage(stage.client, adminLogin, { repository, tag: "1" });
      const image = (await ask("GET", `/v2/${repository}/manifests/1`)).body.toString();
      const upload = locationOf(await begin());
      const path = join(stage.store.folder, "data/docker/registry/v2/repositories", folder);
      await rename(path, `${path}.whole`);
      await writeFile(path, "");
      const digest = digestOf("x");
      const requests: readonly (readonly [method: string, path: string, body?: string])[] = [
        ["GET", `/v2/${repository}/manifests/1`],
        ["GET", `/v2/${repository}/manifests/${manifest}`],
        ["GET", `/v2/${repository}/blobs/${layer}`],
        ["GET", `/v2/${repository}/tags/list`],
        ["GET", "/v2/_catalog"],
        ["GET", upload],
        ["PATCH", upload, "x"],
        ["PUT", `${upload}&digest=${digest}`, "x"],
        ["DELETE", upload],
        ["POST", `/v2/${repository}/blobs/uploads/`],
        ["POST", `/v2/team-a/other/blobs/uploads/?mount=${layer}&from=${repository}`],
        ["PUT", `/v2/${repository}/manifests/2`, image],
        ["DELETE", `/v2/${repository}/manifests/1`],
        ["DELETE", `/v2/${repository}/manifests/${manifest}`],
        ["DELETE", `/v2/${repository}/blobs/${layer}`],
      ];
      let faults = 0;
      for (const [method, target, body] of requests) {
        const answer = await ask(method, target, body);
        if (answer.status < 400) continue;
        const codes = codesOf(answer, `${method} ${target}`);
        if (answer.status >= 500) faults++;
        assert.ok(codes.length > 0, target);
      }
      assert.ok(faults > 0, "nothing was broken");
      await rm(path);
      await rename(`${path}.whole`, path);
    });
  }
});
