import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import {
  canonicalRegistryKey,
  claimsRegistryName,
  dockerHubKey,
  hostMatches,
  parseRegistryKey,
} from "./registry-key.ts";

const canonical = (key: string) => {
  const parts = parseRegistryKey(key);
  return parts === undefined ? undefined : canonicalRegistryKey(parts);
};

const forms = [
  { name: "a bare host stays", key: "registry.example.com", want: "registry.example.com" },
  { name: "a scheme goes", key: "https://registry.example.com", want: "registry.example.com" },
  { name: "plain http is the same registry", key: "http://registry.example.com", want: "registry.example.com" },
  { name: "a trailing slash goes", key: "registry.example.com/", want: "registry.example.com" },
  { name: "/v1/ goes", key: "https://registry.example.com/v1/", want: "registry.example.com" },
  { name: "/v2/ goes", key: "registry.example.com/v2/", want: "registry.example.com" },
  { name: "/v2/ goes from a path-scoped key", key: "registry.example.com/v2/team", want: "registry.example.com/team" },
  {
    name: "/v2 without a slash is a path, as for kubelet",
    key: "registry.example.com/v2",
    want: "registry.example.com/v2",
  },
  { name: "a path stays", key: "registry.example.com/team/app", want: "registry.example.com/team/app" },
  {
    name: "a path's trailing slash stays: it narrows the prefix",
    key: "registry.example.com/team/",
    want: "registry.example.com/team/",
  },
  { name: "a port stays", key: "https://registry.example.com:5000/v2/", want: "registry.example.com:5000" },
  { name: "patterns stay", key: "*.example.com", want: "*.example.com" },
  { name: "an IPv6 address keeps its brackets", key: "[::1]:7443", want: "[::1]:7443" },
  { name: "localhost is a host", key: "localhost:5000", want: "localhost:5000" },
  { name: "Docker Hub has one key, by its historical name", key: "https://index.docker.io/v1/", want: dockerHubKey },
  { name: "docker.io is Docker Hub", key: "docker.io", want: dockerHubKey },
  { name: "index.docker.io with /v2/ is Docker Hub", key: "https://index.docker.io/v2/", want: dockerHubKey },
  { name: "a path of Docker Hub stays path-scoped", key: "docker.io/team", want: "docker.io/team" },
  { name: "nothing is no key", key: "", want: undefined },
  { name: "a scheme alone is no key", key: "https://", want: undefined },
  { name: "another scheme is no key", key: "ftp://registry.example.com", want: undefined },
  { name: "user information is no key", key: "https://user:word@registry.example.com", want: undefined },
  { name: "a query is no key", key: "registry.example.com/?a=b", want: undefined },
  { name: "a question mark in a host is a query for kubelet", key: "registry?.example.com", want: undefined },
  { name: "white space is no key", key: "registry.example.com /team", want: undefined },
  { name: "a port that is no number is no key", key: "registry.example.com:five", want: undefined },
  { name: "a name that objects treat specially is no key", key: "__proto__", want: undefined },
];
for (const { name, key, want } of forms) test(name, () => assert.equal(canonical(key), want));

test("the canonical form of a canonical form is itself", () => {
  const anyKey = fc
    .tuple(
      fc.constantFrom("", "https://", "http://"),
      fc.domain(),
      fc.constantFrom("", "/", "/v1/", "/v2/", "/team", "/v2/team/"),
    )
    .map((parts) => parts.join(""));
  fc.assert(
    fc.property(anyKey, (key) => {
      const once = canonical(key);
      assert.equal(canonical(once ?? ""), once);
    }),
  );
});

const claims = [
  { name: "the same host claims it", key: "registry.example.com", own: "registry.example.com", want: true },
  { name: "in another case, too", key: "Registry.Example.com", own: "registry.example.com", want: true },
  { name: "a path-scoped key claims it", key: "registry.example.com/team", own: "registry.example.com", want: true },
  {
    name: "another port is another registry",
    key: "registry.example.com:5000",
    own: "registry.example.com",
    want: false,
  },
  { name: "a pattern that comes after it does not", key: "*.example.com", own: "registry.example.com", want: false },
  {
    name: "a pattern that kubelet would try before it does",
    key: "registry.example.com*",
    own: "registry.example.com",
    want: true,
  },
  { name: "another host does not", key: "other.example.com", own: "registry.example.com", want: false },
];
for (const { name, key, own, want } of claims) {
  test(`a key of the local registry: ${name}`, () => {
    const parts = parseRegistryKey(key);
    assert.ok(parts !== undefined);
    assert.equal(claimsRegistryName(parts, own), want);
  });
}

test("a star stands for any part of one label, and any label may hold several", () => {
  assert.equal(hostMatches("a*b*c.example.com", "aXbYc.example.com"), true);
  assert.equal(hostMatches("a*b*c.example.com", "acb.example.com"), false);
  assert.equal(hostMatches("ab*ba.example.com", "aba.example.com"), false);
});
