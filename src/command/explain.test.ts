import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough, Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { after, before, describe, test } from "node:test";
import { parse } from "yaml";
import { run } from "./explain.ts";

const local = "registry.slipway-system.svc";
const configuration = `
{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {slipway.dev/inject: enabled}}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: other}}
---
{apiVersion: slipway.dev/v1alpha1, kind: LocalRegistry, metadata: {name: default}, spec: {nodeAccess: HostsToml}}
---
{apiVersion: slipway.dev/v1alpha1, kind: ImageRewrite, metadata: {name: default}, spec: {rules: [{target: local}]}}
---
{apiVersion: slipway.dev/v1alpha1, kind: PullCredential, metadata: {name: harbor}, spec: {sources: [{secretRef: {name: harbor}}]}}
---
apiVersion: v1
kind: Secret
metadata: {name: harbor, namespace: slipway-system}
type: kubernetes.io/dockerconfigjson
stringData: {.dockerconfigjson: '{"auths":{"harbor.example.com":{"username":"u","password":"hunter2"}}}'}
---
{apiVersion: v1, kind: ServiceAccount, metadata: {name: puller, namespace: shop}, imagePullSecrets: [{name: regcred}]}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: locked, namespace: shop, annotations: {kubernetes.io/enforce-mountable-secrets: "true"}}
---
apiVersion: v1
kind: Secret
metadata: {name: regcred, namespace: shop}
type: kubernetes.io/dockerconfigjson
stringData: {.dockerconfigjson: '{"auths":{"ghcr.io":{"username":"u","password":"p"}}}'}
`;

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "slipway-explain-"));
  await writeFile(join(folder, "all.yaml"), configuration);
  await writeFile(join(folder, "kustomization.yaml"), "resources: [all.yaml]\n");
});
after(() => rm(folder, { recursive: true, force: true }));

async function explain(input: string, ...args: readonly string[]) {
  const stdout = new PassThrough();
  const stderr = new PassThrough();
  const code = await run({
    args,
    env: {},
    stdin: Readable.from([input]),
    stdout,
    stderr,
    stop: new AbortController().signal,
  });
  stdout.end();
  stderr.end();
  return { code, out: await text(stdout), err: await text(stderr) };
}
const offline = (input: string, ...args: readonly string[]) => explain(input, "-f", "-", "--config", folder, ...args);
const pod = (image: string, spec = "") =>
  `{kind: Pod, metadata: {name: a, namespace: shop}, spec: {${spec} containers: [{name: a, image: "${image}"}]}}`;

describe("the answer for one pod", () => {
  test("JSON has the stable form and nothing else", async () => {
    const { code, out } = await offline(pod("nginx:1.27"), "-o", "json", "--assume-present");
    assert.equal(code, 0);
    const { patch, ...rest } = JSON.parse(out);
    assert.deepEqual(rest, {
      images: [
        {
          path: "spec.containers[0].image",
          original: "nginx:1.27",
          reference: { registry: "docker.io", repository: "library/nginx", tag: "1.27", digest: null },
          error: null,
          rule: "default#1",
          result: `${local}/docker.io/library/nginx:1.27`,
          reason: "rewritten by the first rule that matches",
          present: true,
          credential: `slipway-pull (${local}/docker.io/library)`,
        },
      ],
      imagePullSecrets: ["slipway-pull"],
      warnings: [],
    });
    assert.deepEqual(JSON.parse((await offline(pod("nginx:1.27"), "-o", "patch", "--assume-present")).out), patch);
    assert.deepEqual(parse((await offline(pod("nginx:1.27"), "-o", "yaml", "--assume-present")).out), {
      ...rest,
      patch,
    });
  });

  test("without a registry to ask, presence is not known and nothing is rewritten", async () => {
    const { code, out } = await offline(pod("nginx:1.27"), "-o", "json");
    const [image] = JSON.parse(out).images;
    assert.deepEqual([code, image.present, image.result], [0, null, "nginx:1.27"]);
  });

  test("no password is ever shown", async () => {
    for (const format of ["table", "json", "yaml", "patch"]) {
      const { out, err } = await offline(pod("harbor.example.com/a/b:1"), "-o", format);
      assert.ok(!`${out}${err}`.includes("hunter2"), format);
      if (format === "json") assert.equal(JSON.parse(out).images[0].credential, "slipway-pull (harbor.example.com)");
    }
  });

  test("the account's own Secrets come first and serve their registry", async () => {
    const { out, err } = await offline(pod("ghcr.io/a/b:1", "serviceAccountName: puller,"), "-o", "json");
    const { imagePullSecrets, images } = JSON.parse(out);
    assert.deepEqual(imagePullSecrets, ["regcred", "slipway-pull"]);
    assert.equal(images[0].credential, "regcred (ghcr.io)");
    assert.match(err, /copies imagePullSecrets from ServiceAccount puller: regcred/);
  });

  test("a pod of a confined account is left alone, and the reason says so", async () => {
    const { out } = await offline(pod("nginx:1", "serviceAccountName: locked,"), "-o", "json", "--assume-present");
    const { patch, images } = JSON.parse(out);
    assert.deepEqual(patch, []);
    assert.match(images[0].reason, /enforce-mountable-secrets/);
  });
});

describe("the namespace", () => {
  test("one that is not opted in is why nothing happens", async () => {
    const { code, out } = await offline(pod("nginx:1"), "-n", "other", "-o", "json", "--assume-present");
    assert.equal(code, 0);
    assert.match(JSON.parse(out).images[0].reason, /not opted in/);
    assert.deepEqual(JSON.parse(out).patch, []);
  });

  test("one that stands in the same file is opted in by its label there", async () => {
    const namespace = "{kind: Namespace, metadata: {name: fresh, labels: {slipway.dev/inject: enabled}}}";
    const { out } = await offline(
      `${namespace}\n---\n${pod("nginx:1")}`,
      "-n",
      "fresh",
      "-o",
      "json",
      "--assume-present",
    );
    assert.deepEqual(JSON.parse(out).imagePullSecrets, ["slipway-pull"]);
  });

  test("one that nobody knows is named", async () => {
    const { err } = await offline(pod("nginx:1"), "-n", "nowhere");
    assert.match(err, /note: Namespace nowhere is not there/);
  });
});

describe("exit codes", () => {
  test("1 for a reference that cannot be read, which is printed harmlessly", async () => {
    const { code, out } = await offline(pod("bad//\\u001b[2Jx"));
    assert.equal(code, 1);
    assert.ok(!out.includes("\u001b"));
  });

  const refusals: readonly (readonly [string, string, readonly string[]])[] = [
    ["no input", "", ["-f", "-"]],
    ["no YAML", "a: [", ["-f", "-"]],
    ["no pod in it", "{kind: Service, spec: {}}", ["-f", "-"]],
    ["a pod without spec", "{kind: Pod}", ["-f", "-"]],
    ["a file that is not there", "", ["-f", "/nowhere.yaml"]],
    ["an unknown flag", "", ["-f", "-", "--nonsense"]],
    ["an unknown format", pod("a"), ["-f", "-", "-o", "xml"]],
    ["both a pod and a file", pod("a"), ["-f", "-", "web"]],
    ["a pod of the cluster offline", "", ["web"]],
    ["nothing to explain", "", []],
  ];
  for (const [name, input, args] of refusals) {
    test(`2 for ${name}, in words that say what to do`, async () => {
      const { code, out, err } = await explain(input, ...args, "--config", folder);
      assert.equal(code, 2);
      assert.equal(out, "");
      assert.ok(err.length > 20, err);
    });
  }
  test("2 for a folder of configuration that is not there", async () => {
    assert.equal((await explain(pod("a"), "-f", "-", "--config", join(folder, "none"))).code, 2);
  });
});

test("several pods give one item each", async () => {
  const deployment = `{kind: Deployment, metadata: {name: web, namespace: shop}, spec: {template: {spec: {containers: [{image: a}]}}}}`;
  const { out } = await offline(`${pod("nginx:1")}\n---\n${deployment}`, "-o", "json");
  const { items } = JSON.parse(out);
  assert.deepEqual(
    items.map((item: { owner: string; images: { path: string }[] }) => [item.owner, item.images[0]?.path]),
    [
      ["Pod a", "spec.containers[0].image"],
      ["Deployment web", "spec.template.spec.containers[0].image"],
    ],
  );
});
