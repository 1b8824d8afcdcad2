import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseReference } from "./parse.ts";
import { formatFamiliar, formatReference } from "./reference.ts";

const sha256 = `sha256:${"0123456789abcdef".repeat(4)}`;
const identifier = "1a3f5e7d9c1b3a5f7e9d1c3b5a7f9e1d3c5b7a9f1e3d5d7c9b1a3f5e7d9c1b3a";

const forms = [
  { text: "localhost/fooo", familiar: "localhost/fooo", canonical: "localhost/fooo" },
  { text: "index.docker.io/fooo/bar", familiar: "fooo/bar", canonical: "docker.io/fooo/bar" },
  { text: "library/ubuntu", familiar: "ubuntu", canonical: "docker.io/library/ubuntu" },
  { text: "other/library", familiar: "other/library", canonical: "docker.io/other/library" },
  {
    text: "example.com:8000/privatebase",
    familiar: "example.com:8000/privatebase",
    canonical: "example.com:8000/privatebase",
  },
  { text: "library/foo/bar", familiar: "library/foo/bar", canonical: "docker.io/library/foo/bar" },
  { text: "FOO/bar", familiar: "FOO/bar", canonical: "FOO/bar" },
  { text: `redis:7@${sha256}`, familiar: `redis:7@${sha256}`, canonical: `docker.io/library/redis:7@${sha256}` },
  { text: "docker.io/localhost/x", familiar: "docker.io/localhost/x", canonical: "docker.io/localhost/x" },
  { text: "docker.io/a.b/c", familiar: "docker.io/a.b/c", canonical: "docker.io/a.b/c" },
  {
    text: `docker.io/${identifier}`,
    familiar: `docker.io/library/${identifier}`,
    canonical: `docker.io/library/${identifier}`,
  },
] as const;

describe("the familiar and the canonical form", () => {
  for (const { text: candidate, familiar, canonical } of forms) {
    test(`of ${candidate}`, () => {
      const reference = parseReference(candidate);
      assert.equal(formatFamiliar(reference), familiar);
      assert.equal(formatReference(reference), canonical);
    });
  }
});
