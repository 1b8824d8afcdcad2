import assert from "node:assert/strict";
import { test } from "node:test";
import { readPullSecret, servingLogin } from "./keyring.ts";

const login = { username: "u", password: "p" };
const secret = (name: string, ...keys: readonly string[]) => ({
  name,
  auths: Object.fromEntries(keys.map((key) => [key, login])),
});

const cases = [
  {
    name: "the first Secret wins for one key",
    secrets: [secret("a", "r.example.com"), secret("b", "r.example.com")],
    image: "r.example.com/x:1",
    want: "a (r.example.com)",
  },
  {
    name: "a longer path wins, whichever Secret it is in",
    secrets: [secret("a", "r.example.com"), secret("b", "r.example.com/team")],
    image: "r.example.com/team/x:1",
    want: "b (r.example.com/team)",
  },
  {
    name: "Docker Hub's old key serves what nothing else does",
    secrets: [secret("a", "https://index.docker.io/v1/")],
    image: "nginx",
    want: "a (https://index.docker.io/v1/)",
  },
  {
    name: "a direct match of another Secret hides Docker Hub's old key",
    secrets: [secret("a", "https://index.docker.io/v1/"), secret("b", "docker.io/library")],
    image: "nginx",
    want: "b (docker.io/library)",
  },
  { name: "no login", secrets: [secret("a", "r.example.com")], image: "other.example.com/x", want: null },
  {
    name: "a reference that cannot be read has none",
    secrets: [secret("a", "r.example.com")],
    image: "r.example.com//x",
    want: null,
  },
] as const;
for (const { name, secrets, image, want } of cases) {
  test(name, () => assert.equal(servingLogin(secrets, image), want));
}

test("kubelet reads Secrets of two types only", () => {
  const data = {
    ".dockerconfigjson": Buffer.from('{"auths":{"r.example.com":{"username":"u","password":"p"}}}').toString("base64"),
  };
  const object = { metadata: { name: "a" }, data };
  assert.deepEqual(readPullSecret({ ...object, type: "kubernetes.io/dockerconfigjson" }), { "r.example.com": login });
  assert.equal(readPullSecret({ ...object, type: "Opaque" }), undefined);
});
