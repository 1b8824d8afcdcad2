import assert from "node:assert/strict";
import { test } from "node:test";
import type { RegistryRoute } from "./repository-path.ts";
import { checkRequest } from "./request-check.ts";

const tags: RegistryRoute = { kind: "tags", repository: "team-a/app" };
const catalog: RegistryRoute = { kind: "catalog" };
const upload: RegistryRoute = { kind: "upload", repository: "team-a/app", id: "1" };
const blob: RegistryRoute = { kind: "blob", repository: "team-a/app", digest: `sha256:${"a".repeat(64)}` };

const refused = [
  { route: tags, query: "last=../../../team-b/app/_manifests/tags/1", code: "TAG_INVALID" },
  { route: tags, query: "last=%00", code: "TAG_INVALID" },
  { route: tags, query: `last=${"x".repeat(129)}`, code: "TAG_INVALID" },
  { route: tags, query: "last=%0d%0a", code: "TAG_INVALID" },
  { route: catalog, query: "last=../../..", code: "NAME_INVALID" },
  { route: catalog, query: "last=TEAM", code: "NAME_INVALID" },
  { route: catalog, query: `last=${"x".repeat(256)}`, code: "NAME_INVALID" },
  { route: upload, range: "x", code: "RANGE_INVALID" },
  { route: upload, range: "bytes=0-2", code: "RANGE_INVALID" },
  { route: upload, range: "0-", code: "RANGE_INVALID" },
  { route: upload, range: `0-${"9".repeat(20)}`, code: "RANGE_INVALID" },
] as const;
for (const { route, code, ...given } of refused) {
  test(`${route.kind} with ${JSON.stringify(given).slice(0, 60)} is ${code}`, () => {
    const headers = "range" in given ? { "content-range": given.range } : {};
    const fault = checkRequest(route, new URLSearchParams("query" in given ? given.query : ""), headers);
    assert.equal(fault?.error.code, code);
    assert.equal(fault?.status, code === "RANGE_INVALID" ? 416 : 400);
  });
}

for (const [route, query, range] of [
  [tags, "", undefined],
  [tags, "n=5&last=", undefined],
  [tags, "last=v1.0_a-b", undefined],
  [catalog, "last=docker.io/library/nginx", undefined],
  [upload, "_state=x", "0-1023"],
  [upload, "", undefined],
  [blob, "last=../..", "x"],
] as const) {
  test(`${route.kind} with '${query}' and Content-Range '${range}' may go on`, () => {
    assert.equal(checkRequest(route, new URLSearchParams(query), { "content-range": range }), undefined);
  });
}
