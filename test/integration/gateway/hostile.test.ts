import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import {
  adminLogin,
  findDistribution,
  issueCertificates,
  startGateway,
  startStore,
  type TestGateway,
} from "./harness.ts";
import {
  type Answer,
  createRegistryClient,
  digestOf,
  manifestType,
  pushImage,
  pushLogin,
  type RegistryClient,
} from "./registry-client.ts";

const program = await findDistribution();
const skip = program === undefined ? "no program `registry` (CNCF Distribution 3.1) on PATH" : false;
const blob = digestOf("{}");
const a64 = "a".repeat(64);
const digests = [
  "",
  ":",
  "sha256",
  "sha256:xyz",
  `sha256:${"a".repeat(63)}`,
  `sha256:${"A".repeat(64)}`,
  `sha512:${a64}`,
  `blake3:${a64}`,
  `a/b:${a64}`,
  `sha256:${"0".repeat(9_000)}`,
];
const tagQueries = [
  "n=-1",
  "n=abc",
  `n=${"9".repeat(20)}`,
  "last=%00%ff",
  "last=../../..",
  `last=${"x".repeat(5_000)}`,
];
const ranges = ["x", "bytes=0-2", "5-7", "2-0", "0-", "-1-2", `0-${"9".repeat(20)}`];
/** Go reads these keys as `schemaVersion`, `config` and `layers`. */
const otherCases = [{ SCHEMAVERSION: 1 }, { Config: { digest: "sha256:abc" } }, { LAYERS: [{ digest: "blake3:x" }] }];
const layers: readonly Readonly<Record<string, unknown>>[] = [
  { urls: 5 },
  { urls: ["file:///etc/passwd"] },
  { urls: ["http://x"], mediaType: "application/vnd.oci.image.layer.nondistributable.v1.tar" },
  { annotations: 5 },
  { platform: 5 },
  { data: "!!!" },
  { size: 1e30 },
  { size: -1 },
];

describe("what a hostile client sends, before the real Distribution", { skip }, () => {
  let store: Awaited<ReturnType<typeof startStore>>;
  let gateway: TestGateway;
  let client: RegistryClient;
  let authorization: string;
  before(async () => {
    const certificates = await issueCertificates();
    store = await startStore(program ?? "", certificates.tokenCa);
    gateway = await startGateway({ distributionUrl: store.url, certificates });
    client = createRegistryClient(gateway);
    await pushImage(client, pushLogin("team-a", "uid-a"), { repository: "team-a/app", tag: "1" });
    const scopes = ["repository:team-a/app:pull,push,delete", "registry:catalog:*"];
    authorization = `Bearer ${await client.token(adminLogin, ...scopes)}`;
  });
  after(async () => {
    client.close();
    await gateway.stop();
    await store.stop();
  });

  /** A refusal is the client's fault, is said in an OCI error body, and says nothing of where the registry keeps things. */
  function assertRefused(answer: Answer, what: string): void {
    const text = answer.body.toString();
    assert.ok(answer.status >= 400 && answer.status < 500, `${what}: ${answer.status} ${text}`);
    assert.match(answer.headers["content-type"] ?? "", /^application\/json/, what);
    const { errors } = JSON.parse(text) as { errors: { code: string }[] };
    assert.match(errors[0]?.code ?? "", /^[A-Z_]+$/, what);
    assert.ok(!text.includes(store.folder), `${what}: ${text}`);
  }
  const get = (path: string, headers: Record<string, string> = {}) =>
    client.ask("GET", path, { headers: { authorization, ...headers } });
  async function upload(method: "PATCH" | "PUT", query: string, headers: Record<string, string>): Promise<Answer> {
    const begun = await client.ask("POST", "/v2/team-a/app/blobs/uploads/", { headers: { authorization } });
    const { pathname, search } = new URL(begun.headers.location ?? assert.fail(`${begun.status}`));
    const sent = { authorization, "content-type": "application/octet-stream", ...headers };
    return client.ask(method, `${pathname}${search}${query}`, { headers: sent, body: "abc" });
  }
  const putManifest = (manifest: unknown) =>
    client.ask("PUT", "/v2/team-a/app/manifests/hostile", {
      headers: { authorization, "content-type": manifestType },
      body: JSON.stringify(manifest),
    });
  const image = { schemaVersion: 2, mediaType: manifestType };
  const config = { mediaType: "application/vnd.oci.image.config.v1+json", digest: blob, size: 2 };

  test("listings", async () => {
    for (const query of tagQueries) assertRefused(await get(`/v2/team-a/app/tags/list?${query}`), query);
    for (const query of ["n=-1", "n=1001", "n=", "last=%00", "last=../..", `last=${"x".repeat(5_000)}`]) {
      assertRefused(await get(`/v2/_catalog?${query}`), query);
    }
  });

  test("content by digests and ranges that are none, and referrers", async () => {
    for (const digest of digests) {
      for (const kind of ["blobs", "manifests", "referrers"]) {
        assertRefused(await get(`/v2/team-a/app/${kind}/${digest}`), `${kind} ${digest}`);
      }
    }
    assertRefused(await get(`/v2/team-a/app/referrers/sha256:${a64}`), "referrers");
    for (const range of ["x", "bytes=5-2", "bytes=999-"]) {
      assertRefused(await get(`/v2/team-a/app/blobs/${blob}`, { range }), range);
    }
    const unmet = await get(`/v2/team-a/app/blobs/${blob}`, { "if-match": '"x"' });
    assertRefused(unmet, "if-match");
    assert.equal(unmet.status, 412);
  });

  test("uploads with ranges and digests that are none, and other content than the digest says", async () => {
    for (const range of ranges) assertRefused(await upload("PATCH", "", { "content-range": range }), range);
    for (const digest of [...digests, `sha256:${a64}`, `sha256:${a64}&digest=${digestOf("abc")}`]) {
      assertRefused(await upload("PUT", `&digest=${digest}`, {}), digest);
    }
    for (const id of ["..", ".", "a=b", "a.b", "nope", "nope?_state=bogus", "%2e%2e"]) {
      assertRefused(await get(`/v2/team-a/app/blobs/uploads/${id}`), id);
    }
  });

  test("manifests with descriptors that are none", async () => {
    for (const digest of digests) {
      assertRefused(await putManifest({ ...image, config: { ...config, digest }, layers: [] }), `config ${digest}`);
      assertRefused(await putManifest({ ...image, config, layers: [{ ...config, digest }] }), `layer ${digest}`);
      const index = { schemaVersion: 2, manifests: [{ mediaType: manifestType, digest, size: 1 }] };
      assertRefused(await putManifest(index), `index ${digest}`);
    }
    for (const change of layers) {
      const layer = { mediaType: "application/vnd.oci.image.layer.v1.tar", digest: blob, size: 2, ...change };
      assertRefused(await putManifest({ ...image, config, layers: [layer] }), JSON.stringify(change));
    }
    for (const keys of otherCases) {
      assertRefused(await putManifest({ ...image, config, layers: [], ...keys }), JSON.stringify(keys));
    }
  });

  test("nothing of it is there afterwards, and what was there still is", async () => {
    const tags = await get("/v2/team-a/app/tags/list");
    assert.deepEqual(JSON.parse(tags.body.toString()), { name: "team-a/app", tags: ["1"] });
    assert.equal((await get("/v2/team-a/app/manifests/1", { accept: manifestType })).status, 200);
  });
});
