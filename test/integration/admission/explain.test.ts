import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { PassThrough, Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { after, before, test } from "node:test";
import type { Explanation } from "../../../src/admission/explain.ts";
import { resources } from "../../../src/cluster/resource.ts";
import { run } from "../../../src/command/explain.ts";
import { type AdmissionEnvironment, startAdmissionEnvironment } from "./environment.ts";
import { createPod, imagesOf, type Pod, pullSecretsOf } from "./pod.ts";

const tool = "docker.io/library/tool";
let world: AdmissionEnvironment;
before(async () => {
  world = await startAdmissionEnvironment();
  await world.push(tool, "1");
  await world.namespace("shop");
});
after(() => world.stop());

async function explain(input: unknown, args: readonly string[], kubeconfig = world.file.kubeconfig) {
  const stdout = new PassThrough();
  const stderr = new PassThrough();
  const code = await run({
    args: [...args, "-o", "json", "--kubeconfig", kubeconfig],
    env: {},
    stdin: Readable.from([JSON.stringify(input)]),
    stdout,
    stderr,
    stop: world.signal,
  });
  stdout.end();
  stderr.end();
  const out = await text(stdout);
  return { code, explanation: (out === "" ? undefined : JSON.parse(out)) as Explanation, err: await text(stderr) };
}

const pod = {
  kind: "Pod",
  metadata: { name: "a", namespace: "shop" },
  spec: {
    containers: [
      { name: "a", image: "tool:1" },
      { name: "b", image: "tool:absent" },
      { name: "c", image: "quay.io/team/app:1" },
    ],
  },
};

test("what it says is what the API server then gets, presence asked of the registry included", async () => {
  const { code, explanation, err } = await explain(pod, ["-f", "-"]);
  assert.deepEqual([code, err], [0, ""]);
  const { metadata, spec } = pod;
  const created = (await world.api.create(
    resources.pods,
    { metadata, spec },
    { dryRun: true, signal: world.signal },
  )) as unknown as Pod;
  assert.deepEqual(
    explanation.images.map(({ result }) => result),
    imagesOf(created),
  );
  assert.deepEqual(explanation.imagePullSecrets, pullSecretsOf(created));
  assert.deepEqual(
    explanation.images.map(({ present }) => present),
    [true, false, false],
  );
  assert.deepEqual(
    explanation.images.map(({ credential }) => credential),
    [`slipway-pull (${world.host}/docker.io/library)`, null, null],
  );
});

test("a pod of the cluster is explained by the references that it was sent with", async () => {
  await createPod(world, "shop", { containers: [{ name: "a", image: "tool:1" }] }, { name: "live" });
  const { code, explanation } = await explain(undefined, ["live", "-n", "shop"]);
  assert.equal(code, 0);
  const [image] = explanation.images;
  assert.deepEqual([image?.original, image?.result, image?.rule], ["tool:1", `${world.host}/${tool}:1`, "default#1"]);
  assert.equal((await explain(undefined, ["nobody", "-n", "shop"])).code, 2);
});

test("a user without rights is told what cannot be seen, and still gets the rules", async () => {
  const role = { apiVersion: "rbac.authorization.k8s.io/v1", kind: "ClusterRole", metadata: { name: "rules-reader" } };
  const rules = [
    { apiGroups: ["slipway.dev"], resources: ["*"], verbs: ["get", "list"] },
    { apiGroups: [""], resources: ["namespaces", "serviceaccounts"], verbs: ["get"] },
  ];
  const subject = { kind: "User", apiGroup: "rbac.authorization.k8s.io", name: "reader" };
  const roleRef = { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "rules-reader" };
  const binding = { ...role, kind: "ClusterRoleBinding", subjects: [subject], roleRef };
  for (const object of [{ ...role, rules }, binding]) {
    const { code, stderr } = await world.kubectl(["apply", "-f", "-"], object);
    assert.equal(code, 0, stderr);
  }
  const { explanation, err } = await explain(pod, ["-f", "-"], await kubeconfigAs("reader"));
  assert.match(err, /note: Secret slipway-system\/slipway-compiled cannot be read/);
  assert.match(err, /note: the local registry was not asked/);
  assert.deepEqual(
    explanation.images.map(({ rule, present }) => [rule, present]),
    [
      ["default#1", null],
      ["default#1", null],
      ["default#1", false],
    ],
  );
});

test("a cluster that does not answer is one line and exit code 2", async () => {
  const path = join(dirname(world.file.kubeconfig), "nowhere");
  const cluster = { name: "c", cluster: { server: "https://127.0.0.1:1" } };
  const context = { name: "c", context: { cluster: "c", user: "c" } };
  const config = { clusters: [cluster], contexts: [context], users: [{ name: "c", user: {} }], "current-context": "c" };
  await writeFile(path, JSON.stringify(config));
  const { code, err } = await explain(pod, ["-f", "-"], path);
  assert.equal(code, 2);
  assert.equal(err.trim().split("\n").length, 1, err);
});

/** The administrator's kubeconfig, acting as another user. */
async function kubeconfigAs(user: string): Promise<string> {
  const { stdout } = await world.kubectl(["config", "view", "--raw", "-o", "json"]);
  const config = JSON.parse(stdout) as { users: { user: Record<string, unknown> }[] };
  for (const entry of config.users) entry.user.as = user;
  const path = join(dirname(world.file.kubeconfig), `as-${user}`);
  await writeFile(path, JSON.stringify(config));
  return path;
}
