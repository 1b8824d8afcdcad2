import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { systemClock } from "../../../src/clock.ts";
import { runServe } from "../../../src/command/serve-process.ts";
import * as names from "../../../src/config/names.ts";
import { freePort } from "../../../src/dev/distribution.ts";
import { createLog } from "../../../src/log.ts";
import { serviceAccount, startTestCluster, type TestCluster } from "./cluster.ts";

// The overlay as it is applied, and serve with the setting that it gives to serve, as serve's own account: webhook
// selector, policy and controller have to draw the same line.
const excluded = ["kube-public", "kube-node-lease"];
const stop = new AbortController();
let cluster: TestCluster;
let served: Promise<void>;

before(async () => {
  cluster = await startTestCluster("overlays/opt-out");
  const port = await freePort();
  await pointAt(port);
  served = runServe(
    {
      cluster: { kubeconfig: await cluster.addUser(serviceAccount(names.systemNamespace, names.serveAccount)) },
      namespace: "slipway-system",
      listen: { port, host: "127.0.0.1", lingerMs: 0 },
      operations: { port: 0, host: "127.0.0.1" },
      selection: { mode: "OptOut", excluded },
      pushSecrets: false,
      identity: "opt-out",
      image: "slipway:test",
      registryImage: "registry:test",
      gatewayToken: async () => "no registry is hosted here",
      defaults: false,
      credentialFiles: "/nowhere",
      keyGraceMs: 0,
      serveNames: [],
    },
    createLog({ level: "silent" }),
    stop.signal,
  );
  served.catch(() => undefined); // looked at in the end
  for (const [name, labels] of Object.entries(namespaces))
    await post("/api/v1/namespaces", { metadata: { name, labels } });
  for (const name of [...Object.keys(namespaces), ...excluded, "kube-system"]) {
    await post(`/api/v1/namespaces/${name}/serviceaccounts`, { metadata: { name: "default" } });
  }
  const auths = { "registry.example.com": { username: "u", password: "word" } };
  await post("/api/v1/namespaces/slipway-system/secrets", {
    metadata: { name: "source" },
    type: "kubernetes.io/dockerconfigjson",
    data: { ".dockerconfigjson": btoa(JSON.stringify({ auths })) },
  });
  await post("/apis/slipway.dev/v1alpha1/pullcredentials", {
    apiVersion: "slipway.dev/v1alpha1",
    kind: "PullCredential",
    metadata: { name: "team" },
    spec: { sources: [{ secretRef: { name: "source" } }] },
  });
});
after(async () => {
  stop.abort();
  await served;
  await cluster.stop();
});

const namespaces = {
  plain: {},
  enabled: { "slipway.dev/inject": "enabled" },
  left: { "slipway.dev/inject": "disabled" },
};

/** The hosted registry is not what this is about: the webhook is reached by URL, as `slipway dev` does it. */
async function pointAt(port: number): Promise<void> {
  const path = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/slipway";
  const { body } = await cluster.send({ method: "GET", path });
  for (const entry of body.webhooks) entry.clientConfig = { url: `https://127.0.0.1:${port}/mutate` };
  assert.equal((await cluster.send({ method: "PUT", path, body })).status, 200);
}

async function post(path: string, body: object): Promise<void> {
  const answer = await cluster.send({ method: "POST", path, body });
  assert.ok(answer.status === 201 || answer.status === 409, `${path}: ${answer.body.message}`);
}

const hasSecret = async (namespace: string): Promise<boolean> =>
  (await cluster.send({ method: "GET", path: `/api/v1/namespaces/${namespace}/secrets/slipway-pull` })).status === 200;

/** The names of imagePullSecrets that a new pod would get. */
async function pullSecretsOf(namespace: string): Promise<readonly string[]> {
  const path = `/api/v1/namespaces/${namespace}/pods?dryRun=All`;
  const spec = { containers: [{ name: "a", image: "registry.example.com/a:1" }] };
  const { status, body } = await cluster.send({
    method: "POST",
    path,
    body: { metadata: { generateName: "a-" }, spec },
  });
  assert.equal(status, 201, body.message);
  return (body.spec.imagePullSecrets ?? []).map(({ name }: { name: string }) => name);
}

async function eventually(what: string, isSo: () => Promise<boolean>): Promise<void> {
  const endMs = systemClock.monotonicMs() + 120_000;
  while (!(await isSo())) {
    assert.ok(systemClock.monotonicMs() < endMs, `waited in vain: ${what}`);
    await systemClock.sleep(20, new AbortController().signal);
  }
}

test("every namespace is served without a label, in the Secret and in the pod", async () => {
  for (const name of ["plain", "enabled", "default"]) {
    await eventually(`the pull Secret of ${name}`, () => hasSecret(name));
  }
  await eventually("a pod with the pull Secret", async () => (await pullSecretsOf("plain")).length > 0);
  assert.deepEqual(await pullSecretsOf("plain"), ["slipway-pull"]);
  assert.deepEqual(await pullSecretsOf("enabled"), ["slipway-pull"]);
});

test("those that say so, and those that the overlay names, are left alone", async () => {
  for (const name of ["left", "kube-system", "slipway-system", ...excluded]) {
    assert.equal(await hasSecret(name), false, name);
    if (name !== "slipway-system") assert.deepEqual(await pullSecretsOf(name), [], name);
  }
});

test("the policy refuses serve's own account there, whatever serve might think", async () => {
  const as = serviceAccount(names.systemNamespace, names.serveAccount);
  const auths = { "registry.example.com": { username: "u", password: "other" } };
  const body = {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: "slipway-pull", labels: { "app.kubernetes.io/managed-by": "slipway" } },
    type: "kubernetes.io/dockerconfigjson",
    data: { ".dockerconfigjson": btoa(JSON.stringify({ auths })) },
  };
  for (const name of ["left", "kube-system", ...excluded]) {
    const answer = await cluster.send({
      method: "PATCH",
      path: `/api/v1/namespaces/${name}/secrets/slipway-pull`,
      body,
      as,
    });
    assert.ok(answer.status >= 400 && answer.status < 500, `${name}: ${answer.status}`);
    assert.match(answer.body.message, /slipway-serve-secrets/, name);
  }
});

test("the label takes effect at once, both ways", async () => {
  const label = (value: string | null) =>
    cluster.send({
      method: "PATCH",
      path: "/api/v1/namespaces/plain",
      body: { metadata: { labels: { "slipway.dev/inject": value } } },
      contentType: "application/merge-patch+json",
    });
  assert.equal((await label("disabled")).status, 200);
  await eventually("its Secret is gone", async () => !(await hasSecret("plain")));
  await eventually("its pods are left alone", async () => (await pullSecretsOf("plain")).length === 0);
  assert.equal((await label(null)).status, 200);
  await eventually("its Secret is back", () => hasSecret("plain"));
  await eventually("its pods are served", async () => (await pullSecretsOf("plain")).length === 1);
});
