import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { SlipwayError } from "../errors.ts";
import { isFault, type ReferenceFault } from "./fault.ts";
import { parseReference, readReference } from "./parse.ts";
import type { Reference } from "./reference.ts";

const sha256 = `sha256:${"0123456789abcdef".repeat(4)}`;
const sha384 = `sha384:${"0123456789abcdef".repeat(6)}`;
const sha512 = `sha512:${"0123456789abcdef".repeat(8)}`;
const blake3 = `blake3:${"f".repeat(64)}`;
const identifier = "1a3f5e7d9c1b3a5f7e9d1c3b5a7f9e1d3c5b7a9f1e3d5d7c9b1a3f5e7d9c1b3a";
const dockerIo = (path: string): Reference => ({ registry: "docker.io", path });

const valid: readonly { readonly name: string; readonly text: string; readonly want: Reference }[] = [
  { name: "a bare name is docker.io/library", text: "nginx", want: dockerIo("library/nginx") },
  { name: "a bare name with a tag", text: "nginx:1.27", want: { ...dockerIo("library/nginx"), tag: "1.27" } },
  {
    name: "a bare name with a digest",
    text: `nginx@${sha256}`,
    want: { ...dockerIo("library/nginx"), digest: sha256 },
  },
  {
    name: "tag and digest are both kept",
    text: `busybox:latest@${sha256}`,
    want: { ...dockerIo("library/busybox"), tag: "latest", digest: sha256 },
  },
  { name: "two parts are a path of docker.io", text: "grafana/loki", want: dockerIo("grafana/loki") },
  { name: "library may be written", text: "library/debian", want: dockerIo("library/debian") },
  { name: "docker.io may be written", text: "docker.io/library/debian", want: dockerIo("library/debian") },
  { name: "docker.io with one part gets library", text: "docker.io/debian", want: dockerIo("library/debian") },
  { name: "index.docker.io is docker.io", text: "index.docker.io/docker/docker", want: dockerIo("docker/docker") },
  {
    name: "index.docker.io with one part gets library",
    text: "index.docker.io/debian",
    want: dockerIo("library/debian"),
  },
  { name: "registry-1.docker.io is docker.io", text: "registry-1.docker.io/library/x", want: dockerIo("library/x") },
  { name: "library with three parts stays", text: "library/foo/bar", want: dockerIo("library/foo/bar") },
  { name: "an underscore makes no host", text: "test_com/foo", want: dockerIo("test_com/foo") },
  {
    name: "a dot without a slash is a name",
    text: "test.com:tag",
    want: { ...dockerIo("library/test.com"), tag: "tag" },
  },
  {
    name: "a port without a slash is a tag",
    text: "test.com:5000",
    want: { ...dockerIo("library/test.com"), tag: "5000" },
  },
  {
    name: "localhost without a slash is a name",
    text: "localhost:5000",
    want: { ...dockerIo("library/localhost"), tag: "5000" },
  },
  { name: "an address without a slash is a name", text: "192.168.1.1", want: dockerIo("library/192.168.1.1") },
  {
    name: "a first part with a dot is a host",
    text: "test.com/repo:tag",
    want: { registry: "test.com", path: "repo", tag: "tag" },
  },
  {
    name: "a first part with a port is a host",
    text: "registry:5000/a",
    want: { registry: "registry:5000", path: "a" },
  },
  { name: "localhost needs no dot", text: "localhost/a:1", want: { registry: "localhost", path: "a", tag: "1" } },
  { name: "localhost may have a port", text: "localhost:5000/a", want: { registry: "localhost:5000", path: "a" } },
  { name: "an upper-case first part is a host", text: "Foo/bar", want: { registry: "Foo", path: "bar" } },
  {
    name: "an upper-case host keeps its case",
    text: "Asdf.com/foo/bar",
    want: { registry: "Asdf.com", path: "foo/bar" },
  },
  {
    name: "upper-case DOCKER.IO is a host of its own",
    text: "DOCKER.IO/debian",
    want: { registry: "DOCKER.IO", path: "debian" },
  },
  {
    name: "an IPv4 host",
    text: "127.0.0.1:8000/private/moonbase",
    want: { registry: "127.0.0.1:8000", path: "private/moonbase" },
  },
  { name: "an IPv6 host", text: "[2001:db8::1]/repo", want: { registry: "[2001:db8::1]", path: "repo" } },
  {
    name: "an IPv6 host with port, tag and digest",
    text: `[2001:db8::1]:5000/repo:t@${sha256}`,
    want: { registry: "[2001:db8::1]:5000", path: "repo", tag: "t", digest: sha256 },
  },
  {
    name: "an IPv6 host is checked by its characters only",
    text: "[fd00123123123]:75050/x",
    want: { registry: "[fd00123123123]:75050", path: "x" },
  },
  {
    name: "a port may have any number of digits",
    text: "192.168.1.1:750050/x",
    want: { registry: "192.168.1.1:750050", path: "x" },
  },
  {
    name: "dots in the path are no host",
    text: "b.gcr.io/test.example.com/my-app:test.example.com",
    want: { registry: "b.gcr.io", path: "test.example.com/my-app", tag: "test.example.com" },
  },
  {
    name: "punycode",
    text: "xn--n3h.com/myimage:xn--n3h.com",
    want: { registry: "xn--n3h.com", path: "myimage", tag: "xn--n3h.com" },
  },
  {
    name: "separators of every kind",
    text: "r.io/foo/project--id.module--name.ver---sion--name__x_y",
    want: { registry: "r.io", path: "foo/project--id.module--name.ver---sion--name__x_y" },
  },
  {
    name: "64 characters that are no hex are a name",
    text: "thisisthesongthatneverendsitgoesonandonandonthisisthesongthatnev",
    want: dockerIo("library/thisisthesongthatneverendsitgoesonandonandonthisisthesongthatnev"),
  },
  {
    name: "64 hex characters behind a host are a name",
    text: `docker.io/${identifier}`,
    want: dockerIo(`library/${identifier}`),
  },
  {
    name: "64 hex characters with a tag are a name",
    text: `${identifier}:1`,
    want: { ...dockerIo(`library/${identifier}`), tag: "1" },
  },
  {
    name: "a path of 255 characters",
    text: `example.com/${"a".repeat(255)}:t`,
    want: { registry: "example.com", path: "a".repeat(255), tag: "t" },
  },
  {
    name: "a tag of 128 characters",
    text: `a:${"T".repeat(128)}`,
    want: { ...dockerIo("library/a"), tag: "T".repeat(128) },
  },
  {
    name: "a tag begins with an underscore and has upper case",
    text: "a:_V1.0-RC",
    want: { ...dockerIo("library/a"), tag: "_V1.0-RC" },
  },
  { name: "sha384 is a digest", text: `a@${sha384}`, want: { ...dockerIo("library/a"), digest: sha384 } },
  { name: "sha512 is a digest", text: `a@${sha512}`, want: { ...dockerIo("library/a"), digest: sha512 } },
  { name: "blake3 is a digest", text: `a@${blake3}`, want: { ...dockerIo("library/a"), digest: blake3 } },
];

type Invalid = {
  readonly name: string;
  readonly text: string;
  readonly part: ReferenceFault["part"];
  readonly offset: number;
};
const invalid: readonly Invalid[] = [
  { name: "nothing", text: "", part: "reference", offset: 0 },
  { name: "64 hex characters", text: identifier, part: "reference", offset: 0 },
  { name: "only a tag", text: ":justtag", part: "repository", offset: 0 },
  { name: "only a digest", text: `@${sha256}`, part: "repository", offset: 0 },
  { name: "a scheme", text: "https://github.com/docker/docker", part: "registry", offset: 5 },
  { name: "an upper-case name", text: "Uppercase:tag", part: "repository", offset: 0 },
  {
    name: "an upper-case path behind a host",
    text: "test:5000/Uppercase/lowercase:tag",
    part: "repository",
    offset: 10,
  },
  { name: "an upper-case second part", text: "docker/Docker", part: "repository", offset: 7 },
  { name: "a leading dash", text: "-docker/docker", part: "repository", offset: 0 },
  { name: "a trailing dash", text: "docker-/docker", part: "repository", offset: 7 },
  { name: "a trailing separator at the end", text: "foo/bar-", part: "repository", offset: 7 },
  { name: "empty segments", text: "docker///docker", part: "repository", offset: 7 },
  { name: "a trailing slash", text: "docker/", part: "repository", offset: 6 },
  { name: "a host alone with its slash", text: "foo.com/", part: "repository", offset: 8 },
  { name: "only underscores", text: "____/____", part: "repository", offset: 0 },
  { name: "three underscores", text: "a___b", part: "repository", offset: 3 },
  { name: "two dots", text: "x.io/dock..er", part: "repository", offset: 10 },
  { name: "mixed separators", text: "x.io/dock_.er", part: "repository", offset: 10 },
  { name: "a character that no path has", text: "aa/asdf$$^/aa", part: "repository", offset: 7 },
  { name: "white space", text: "nginx ", part: "repository", offset: 5 },
  { name: "a line feed at the end", text: "nginx:1\n", part: "tag", offset: 7 },
  { name: "a path of 256 characters", text: `example.com/${"a".repeat(256)}`, part: "repository", offset: 12 },
  { name: "a path that library makes too long", text: "a".repeat(248), part: "repository", offset: 0 },
  { name: "an empty tag", text: "nginx:", part: "tag", offset: 6 },
  { name: "a tag that begins with a dash", text: "nginx:-1", part: "tag", offset: 6 },
  { name: "a tag of 129 characters", text: `a:${"t".repeat(129)}`, part: "tag", offset: 130 },
  { name: "two tags", text: "nginx:1:2", part: "tag", offset: 7 },
  { name: "a tag with a tilde", text: "registry.com:8080/myapp:invalid~tag", part: "tag", offset: 31 },
  {
    name: "a digest that is too short",
    text: "repo@sha256:ffffffffffffffffffffffffffffffffff",
    part: "digest",
    offset: 46,
  },
  { name: "a digest that is too long", text: `repo@${sha256}0`, part: "digest", offset: 76 },
  { name: "a digest in upper case", text: `repo@sha256:${"F".repeat(64)}`, part: "digest", offset: 12 },
  { name: "an unknown algorithm", text: `repo@md5:${"f".repeat(32)}`, part: "digest", offset: 5 },
  { name: "no algorithm", text: "repo@bad", part: "digest", offset: 5 },
  { name: "two digests", text: `repo@${sha256}@${sha256}`, part: "digest", offset: 76 },
  { name: "a host with an underscore", text: "bad_hostname.com:8080/myapp:tag", part: "registry", offset: 3 },
  { name: "a host whose label begins with a dash", text: "-docker.io/docker", part: "registry", offset: 0 },
  { name: "a host whose label ends in a dash", text: "ab-.com/x", part: "registry", offset: 3 },
  { name: "a host whose last label ends in a dash", text: "ab.com-/x", part: "registry", offset: 6 },
  { name: "a host that ends in a dot", text: "docker./docker", part: "registry", offset: 7 },
  { name: "a host with two dots", text: "do..cker/docker", part: "registry", offset: 3 },
  { name: "a port that is none", text: "foo.com:http/bar", part: "registry", offset: 8 },
  { name: "a host with an empty port", text: "foo.com:/bar", part: "registry", offset: 7 },
  { name: "IPv6 without brackets", text: "fc00::1:5000/debian", part: "registry", offset: 5 },
  { name: "IPv6 with a zone", text: "[fe80::1%eth0]:5000/debian", part: "registry", offset: 8 },
  { name: "IPv6 with an IPv4 part", text: "[2001:db8:3:4::192.0.2.33]:5000/debian", part: "registry", offset: 18 },
  { name: "IPv6 with the wrong separator", text: "[fd00:1:2::3]75050/x", part: "registry", offset: 13 },
  { name: "IPv6 alone", text: "[2001:db8::1]:5000", part: "repository", offset: 0 },
  { name: "IPv6 never closed", text: "[fd00::1/x", part: "registry", offset: 8 },
  { name: "IPv6 with nothing in it", text: "[]:1/x", part: "registry", offset: 1 },
  {
    name: "Tutor's registry without its slash",
    text: "localhost:5000overhangio/openedx:19",
    part: "registry",
    offset: 14,
  },
];

describe("a reference that is valid", () => {
  for (const { name, text, want } of valid) test(name, () => assert.deepEqual(parseReference(text), want));
});

describe("a reference that is refused, with the part that is wrong and where", () => {
  for (const { name, text, part, offset } of invalid) {
    test(name, () => {
      const fault = readReference(text);
      assert.ok(isFault(fault), JSON.stringify(fault));
      assert.deepEqual({ part: fault.part, offset: fault.offset }, { part, offset });
      assert.throws(
        () => parseReference(text),
        (error) => error instanceof SlipwayError && error.code === "REFERENCE_INVALID" && error.message.includes(part),
      );
    });
  }
});
