import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { ApiError } from "../../../src/cluster/api.ts";
import { resources } from "../../../src/cluster/resource.ts";
import { originalImagesAnnotation } from "../../../src/config/names.ts";
import { type AdmissionEnvironment, eventually, hasSecret, optedIn, startAdmissionEnvironment } from "./environment.ts";
import { createPod, imagesOf, type Pod, pullSecretsOf } from "./pod.ts";

const tool = "docker.io/library/tool";
let world: AdmissionEnvironment;
let digest: string;
let local: string;
before(async () => {
  world = await startAdmissionEnvironment();
  digest = await world.push(tool, "1");
  local = `${world.host}/${tool}:1`;
});
after(async () => {
  const faults = await world.faults();
  await world.stop();
  assert.deepEqual(faults, { matchConditions: 0, internal: 0 });
});

const one = (image: string) => ({ containers: [{ name: "a", image }] });

test("every place of a pod that names an image is rewritten, and what was there is noted", async () => {
  await world.namespace("everywhere");
  const spec = {
    initContainers: [
      { name: "init", image: "tool:1" },
      { name: "sidecar", image: `tool@${digest}`, restartPolicy: "Always" },
    ],
    containers: [
      { name: "a", image: `docker.io/library/tool:1@${digest}` },
      { name: "b", image: "tool:absent" },
    ],
    volumes: [{ name: "data", image: { reference: "index.docker.io/library/tool:1", pullPolicy: "IfNotPresent" } }],
  };
  const pod = await createPod(world, "everywhere", spec);
  assert.deepEqual(imagesOf(pod), [
    local,
    `${world.host}/${tool}@${digest}`,
    `${local}@${digest}`,
    "tool:absent",
    local,
  ]);
  assert.deepEqual(pullSecretsOf(pod), ["slipway-pull"]);
  assert.deepEqual(JSON.parse(pod.metadata.annotations?.[originalImagesAnnotation] ?? ""), {
    containers: { init: "tool:1", sidecar: `tool@${digest}`, a: `docker.io/library/tool:1@${digest}` },
    volumes: { data: "index.docker.io/library/tool:1" },
  });
});

test("a pod without a name, and one whose own Secrets come first", async () => {
  await world.namespace("names");
  const spec = { ...one("tool:1"), imagePullSecrets: [{ name: "mine" }] };
  const pod = await createPod(world, "names", spec, { generateName: "job-", name: "" });
  assert.match(pod.metadata.name, /^job-.+/);
  assert.deepEqual(pullSecretsOf(pod), ["mine", "slipway-pull"]);
  assert.deepEqual(imagesOf(pod), [local]);
});

test("the account's Secrets stay before ours", async () => {
  await world.namespace("accounts");
  const account = { metadata: { name: "puller", namespace: "accounts" }, imagePullSecrets: [{ name: "regcred" }] };
  await world.api.create(resources.serviceAccounts, account, { signal: world.signal });
  const pod = await createPod(world, "accounts", { ...one("tool:1"), serviceAccountName: "puller" });
  assert.deepEqual(pullSecretsOf(pod), ["regcred", "slipway-pull"]);
});

describe("opting out", () => {
  test("a namespace without the label", async () => {
    await world.namespace("stranger", {});
    const pod = await createPod(world, "stranger", one("tool:1"));
    assert.deepEqual([imagesOf(pod), pullSecretsOf(pod)], [["tool:1"], []]);
  });

  test("a pod by its label", async () => {
    await world.namespace("one-out");
    const pod = await createPod(world, "one-out", one("tool:1"), { labels: { "slipway.dev/inject": "disabled" } });
    assert.deepEqual([imagesOf(pod), pullSecretsOf(pod)], [["tool:1"], []]);
  });

  for (const where of ["pod", "namespace"] as const) {
    test(`credentials only, by the label on the ${where}`, async () => {
      const label = { "slipway.dev/rewrite": "disabled" };
      const name = `credentials-${where}`;
      await world.namespace(name, where === "namespace" ? { ...optedIn, ...label } : optedIn);
      const pod = await createPod(world, name, one("tool:1"), where === "pod" ? { labels: label } : {});
      assert.deepEqual([imagesOf(pod), pullSecretsOf(pod)], [["tool:1"], ["slipway-pull"]]);
    });
  }
});

/** Namespace, account and pod without a pause between them. @returns whether the Secret was there when the pod was */
async function inQuickSuccession(name: string): Promise<boolean> {
  const { api, signal } = world;
  await api.create(resources.namespaces, { metadata: { name, labels: optedIn } }, { signal });
  try {
    await api.create(resources.serviceAccounts, { metadata: { name: "default", namespace: name } }, { signal });
  } catch (error) {
    // The stand-in for the controller manager may have been faster.
    if (!(error instanceof ApiError && error.reason === "AlreadyExists")) throw error;
  }
  const pod = await createPod(world, name, one("tool:1"));
  const isThere = await hasSecret(api, name, signal);
  assert.deepEqual([imagesOf(pod), pullSecretsOf(pod)], [[local], ["slipway-pull"]], name);
  return isThere;
}

test("the Secret is there when the first pod's creation returns, one namespace after the other", async () => {
  for (let index = 0; index < 20; index++) assert.equal(await inQuickSuccession(`after-${index}`), true, `${index}`);
});

test("the same for twenty namespaces at once, by admission alone while nobody leads", async () => {
  await world.withoutLeader(async () => {
    const names = Array.from({ length: 20 }, (_, index) => `at-once-${index}`);
    assert.deepEqual(new Set(await Promise.all(names.map(inQuickSuccession))), new Set([true]));
  });
});

test("a dry run writes nothing", async () => {
  const { api, signal } = world;
  await world.namespace("dry");
  await eventually("the first Secret", () => hasSecret(api, "dry", signal));
  const { metadata } = await api.get(resources.secrets, { namespace: "dry", name: "slipway-pull" }, signal);
  const pod = { metadata: { name: "a", namespace: "dry" }, spec: one("tool:1") };
  const created = (await api.create(resources.pods, pod, { dryRun: true, signal })) as unknown as Pod;
  assert.deepEqual(pullSecretsOf(created), ["slipway-pull"]);
  const afterwards = await api.get(resources.secrets, { namespace: "dry", name: "slipway-pull" }, signal);
  assert.equal(afterwards.metadata.resourceVersion, metadata.resourceVersion);
  assert.deepEqual(await api.list(resources.pods, { namespace: "dry" }, signal), []);
});

describe("no pod is blocked or stranded", () => {
  test("by a foreign Secret of our name: it stays, references stay, the pod comes with a warning", async () => {
    const { api, signal } = world;
    await world.namespace("foreign", {});
    const foreign = {
      metadata: { name: "slipway-pull", namespace: "foreign" },
      type: "kubernetes.io/dockerconfigjson",
      data: { ".dockerconfigjson": Buffer.from('{"auths":{}}').toString("base64") },
    };
    const { metadata } = await api.create(resources.secrets, foreign, { signal });
    await api.merge(resources.namespaces, { name: "foreign" }, { metadata: { labels: optedIn } }, signal);
    const manifest = { apiVersion: "v1", kind: "Pod", metadata: { name: "a" }, spec: one("tool:1") };
    await eventually("the label to be seen", async () => {
      const { stderr } = await world.kubectl(["create", "-n", "foreign", "--dry-run=server", "-f", "-"], manifest);
      return stderr.includes("Warning: slipway");
    });
    const { code, stderr } = await world.kubectl(["create", "-n", "foreign", "-f", "-"], manifest);
    assert.equal(code, 0, stderr);
    assert.match(stderr, /Warning: slipway: .*/);
    const pod = (await api.get(resources.pods, { namespace: "foreign", name: "a" }, signal)) as unknown as Pod;
    assert.deepEqual(imagesOf(pod), ["tool:1"]);
    const now = await api.get(resources.secrets, { namespace: "foreign", name: "slipway-pull" }, signal);
    assert.equal(now.metadata.resourceVersion, metadata.resourceVersion);
  });

  test("by a quota without Secrets", async () => {
    const { api, transport, signal } = world;
    await world.namespace("quota", {});
    const path = "/api/v1/namespaces/quota/resourcequotas";
    const quota = {
      apiVersion: "v1",
      kind: "ResourceQuota",
      metadata: { name: "none" },
      spec: { hard: { secrets: "0" } },
    };
    await transport.json({ method: "POST", path, body: quota, signal });
    // No controller manager fills the status in, by which the API server refuses.
    const body = { status: { hard: { secrets: "0" }, used: { secrets: "0" } } };
    const contentType = "application/merge-patch+json";
    await transport.json({ method: "PATCH", path: `${path}/none/status`, body, contentType, signal });
    const secret = { metadata: { name: "probe", namespace: "quota" } };
    await eventually("the quota to be in force", () =>
      api.create(resources.secrets, secret, { dryRun: true, signal }).then(
        () => false,
        (error: unknown) => error instanceof ApiError && error.status === 403,
      ),
    );
    await api.merge(resources.namespaces, { name: "quota" }, { metadata: { labels: optedIn } }, signal);
    const pod = await createPod(world, "quota", one("tool:1"));
    assert.deepEqual(imagesOf(pod), ["tool:1"]);
    assert.equal(await hasSecret(api, "quota", signal), false);
  });

  test("by an account that enforces mountable secrets", async () => {
    const { api, signal } = world;
    await world.namespace("confined");
    const annotations = { "kubernetes.io/enforce-mountable-secrets": "true" };
    const account = (name: string, secrets: readonly string[]) => ({
      metadata: { name, namespace: "confined", annotations },
      imagePullSecrets: secrets.map((secret) => ({ name: secret })),
    });
    await api.create(resources.serviceAccounts, account("locked", []), { signal });
    await api.create(resources.serviceAccounts, account("open", ["slipway-pull"]), { signal });
    const preview = async (serviceAccountName: string) => {
      const metadata = { name: "preview", namespace: "confined" };
      const pod = { metadata, spec: { ...one("tool:1"), serviceAccountName } };
      return (await api.create(resources.pods, pod, { dryRun: true, signal })) as unknown as Pod;
    };
    const locked = await createPod(world, "confined", { ...one("tool:1"), serviceAccountName: "locked" });
    assert.deepEqual([imagesOf(locked), pullSecretsOf(locked)], [["tool:1"], []]);
    await eventually("the open account to be read", async () => imagesOf(await preview("open"))[0] === local);
    assert.deepEqual(pullSecretsOf(await preview("open")), ["slipway-pull"]);
  });

  test("by references that nobody can read", async () => {
    await world.namespace("hostile");
    const images = ["tool:1", "Not//An:::Image", "x".repeat(3_000), "tool:1"];
    const pod = await createPod(world, "hostile", {
      containers: images.map((image, index) => ({ name: `c${index}`, image })),
    });
    assert.deepEqual(imagesOf(pod), [local, images[1], images[2], local]);
  });

  test("by its number of containers", async () => {
    await world.namespace("many");
    const containers = Array.from({ length: 500 }, (_, index) => ({ name: `c${index}`, image: "tool:1" }));
    const pod = await createPod(world, "many", { containers });
    assert.deepEqual(new Set(imagesOf(pod)), new Set([local]));
  });
});
