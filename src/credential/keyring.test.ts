import assert from "node:assert/strict";
import test from "node:test";
import { findLogins } from "./keyring.ts";

/** What kubelet looks up: the normalised repository name, split at its first slash. */
function imageOf(repository: string) {
  const slash = repository.indexOf("/");
  return { host: repository.slice(0, slash), path: repository.slice(slash + 1) };
}

const login = (username: string) => ({ username, password: "word" });
const matches = (keys: readonly string[], repository: string) =>
  findLogins(Object.fromEntries(keys.map((key) => [key, login(key)])), imageOf(repository)).map(({ key }) => key);

// The cases of kubelet's own tests (TestURLsMatch, TestDockerKeyringForGlob, TestKeyringMiss, the Docker Hub ones) in
// https://github.com/kubernetes/kubernetes/blob/master/pkg/credentialprovider/keyring_test.go
const single = [
  { key: "*.kubernetes.io", image: "prefix.kubernetes.io/foo", want: true },
  { key: "prefix.*.io", image: "prefix.kubernetes.io/foo", want: true },
  { key: "prefix.kubernetes.*", image: "prefix.kubernetes.io/foo", want: true },
  { key: "*-good.kubernetes.io", image: "prefix-good.kubernetes.io/foo", want: true },
  { key: "*.kubernetes.io/blah", image: "prefix.kubernetes.io/blah", want: true },
  { key: "prefix.*.io/foo", image: "prefix.kubernetes.io/foo/bar", want: true },
  { key: "*.kubernetes.io:1111/blah", image: "prefix.kubernetes.io:1111/blah", want: true },
  { key: "prefix.*.io:1111/foo", image: "prefix.kubernetes.io:1111/foo/bar", want: true },
  { key: "*.kubernetes.io", image: "kubernetes.io/foo", want: false },
  { key: "*.*.kubernetes.io", image: "prefix.kubernetes.io/foo", want: false },
  { key: "*.*.kubernetes.io", image: "kubernetes.io/foo", want: false },
  { key: "kubernetes.io", image: "kubernetes.com/foo", want: false },
  { key: "k*.io", image: "quay.io/foo", want: false },
  { key: "*.kubernetes.io:1234/blah", image: "prefix.kubernetes.io:1111/blah", want: false },
  { key: "prefix.*.io/foo", image: "prefix.kubernetes.io:1111/foo/bar", want: false },
  { key: "https://hello.kubernetes.io", image: "hello.kubernetes.io/foo/bar", want: true },
  { key: "https://*.docker.io", image: "prefix.docker.io/foo/bar", want: true },
  { key: "https://prefix.*.io", image: "prefix.docker.io/foo/bar", want: true },
  { key: "https://prefix.docker.*", image: "prefix.docker.io/foo/bar", want: true },
  { key: "https://*.docker.io/path", image: "prefix.docker.io/path/foo/bar", want: true },
  { key: "https://prefix.*.io/path", image: "prefix.docker.io/path/subpath/foo/bar", want: true },
  { key: "https://*.docker.io:8888", image: "prefix.docker.io:8888/foo/bar", want: true },
  { key: "https://*.docker.io/v1/", image: "prefix.docker.io/path/foo/bar", want: true },
  { key: "https://*.docker.io/v2/", image: "prefix.docker.io/path/foo/bar", want: true },
  { key: "prefix.docker.io:1111", image: "prefix.docker.io:1111/path/foo/bar", want: true },
  { key: "*.docker.io:1111", image: "prefix.docker.io:1111/path/foo/bar", want: true },
  { key: "https://hello.kubernetes.io", image: "world.mesos.org/foo/bar", want: false },
  { key: "https://*.docker.com", image: "prefix.docker.io/foo/bar", want: false },
  { key: "https://suffix.*.io", image: "prefix.docker.io/foo/bar", want: false },
  { key: "https://prefix.docker.c*", image: "prefix.docker.io/foo/bar", want: false },
  { key: "https://prefix.*.io/path:1111", image: "prefix.docker.io/path/subpath:1111/foo/bar", want: false },
  { key: "https://index.docker.io/v1/", image: "world.mesos.org/foo/bar", want: false },
  { key: "https://index.docker.io/v1/", image: "docker.io/library/jenkins", want: true },
  { key: "https://index.docker.io/v1/", image: "docker.io/google/docker-registry", want: true },
  { key: "docker.io", image: "docker.io/library/jenkins", want: true },
  { key: "https://index.docker.io/v1/", image: "localhost/app", want: true },
  { key: "https://index.docker.io/v1/", image: "localhost:5000/app", want: false },
  { key: "registry.example.com/team", image: "registry.example.com/teams/app", want: true },
  { key: "registry.example.com/team/", image: "registry.example.com/teams/app", want: false },
  { key: "127.0.0.1:7443", image: "127.0.0.1:7443/team/app", want: true },
  { key: "[::1]:7443", image: "[::1]:7443/team/app", want: true },
];
for (const { key, image, want } of single) {
  test(`${key} ${want ? "serves" : "does not serve"} ${image}`, () => {
    assert.deepEqual(matches([key], image), want ? [key] : []);
  });
}

test("the longest path comes first, then its host, then patterns", () => {
  const keys = ["*.example.com", "registry.example.com", "registry.example.com/team/app", "registry.example.com/team"];
  assert.deepEqual(matches(keys, "registry.example.com/team/app/web"), [
    "registry.example.com/team/app",
    "registry.example.com/team",
    "registry.example.com",
    "*.example.com",
  ]);
});

test("Docker Hub's key is asked only when nothing else serves the image", () => {
  const keys = ["https://index.docker.io/v1/", "docker.io/team"];
  assert.deepEqual(matches(keys, "docker.io/team/app"), ["docker.io/team"]);
  assert.deepEqual(matches(keys, "docker.io/library/nginx"), ["https://index.docker.io/v1/"]);
});

test("a key that names no registry is passed over", () => {
  assert.deepEqual(matches(["not a key", "registry.example.com"], "registry.example.com/app"), [
    "registry.example.com",
  ]);
});
