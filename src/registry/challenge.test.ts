import assert from "node:assert/strict";
import { test } from "node:test";
import { parseChallenge } from "./challenge.ts";
import { nextPage } from "./page.ts";

const realm = "https://registry.example.com/auth/token";
const bearer = (fields: object) => ({
  kind: "bearer",
  realm,
  service: undefined,
  scope: undefined,
  error: undefined,
  ...fields,
});
const cases = [
  { name: "basic", header: 'Basic realm="registry"', want: { kind: "basic" } },
  {
    name: "bearer with commas inside a scope",
    header: `Bearer realm="${realm}",service="registry",scope="repository:a/b:pull,push",error="insufficient_scope"`,
    want: bearer({ service: "registry", scope: "repository:a/b:pull,push", error: "insufficient_scope" }),
  },
  { name: "bearer wins over basic", header: `Basic realm="x", bearer realm="${realm}"`, want: bearer({}) },
  {
    name: "values without quotes",
    header: `Bearer realm=${realm}, service=registry`,
    want: bearer({ service: "registry" }),
  },
  { name: "a bearer without realm is none", header: 'Bearer service="registry"', want: undefined },
  { name: "another scheme is none", header: "Negotiate", want: undefined },
  { name: "no header is none", header: undefined, want: undefined },
] as const;
for (const { name, header, want } of cases) test(name, () => assert.deepEqual(parseChallenge(header), want));

const origin = new URL("https://registry.example.com");
const pages = [
  { name: "a relative link", link: '</v2/_catalog?last=a&n=2>; rel="next"', want: "/v2/_catalog?last=a&n=2" },
  { name: "a link relative to the page", link: "<list?last=a>; rel=next", want: "/v2/a/tags/list?last=a" },
  { name: "an absolute link at this registry", link: `<${origin.origin}/v2/x>; rel="next"`, want: "/v2/x" },
  { name: "a link to another host is not followed", link: '<https://example.org/v2/x>; rel="next"', want: undefined },
  { name: "another relation", link: '</v2/x>; rel="prev"', want: undefined },
  { name: "no link", link: undefined, want: undefined },
] as const;
for (const { name, link, want } of pages) {
  test(`next page: ${name}`, () => assert.equal(nextPage(link, origin, "/v2/a/tags/list?n=2"), want));
}
