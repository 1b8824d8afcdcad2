import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { after, before, describe, type TestContext, test } from "node:test";
import * as names from "../../../src/config/names.ts";
import {
  type Identity,
  manifestsFolder,
  type Rendered,
  render,
  serviceAccount,
  startTestCluster,
  type TestCluster,
} from "./cluster.ts";

let cluster: TestCluster;
let objects: readonly Rendered[];
before(async () => {
  cluster = await startTestCluster("overlays/default");
  objects = await render("overlays/default");
});
after(() => cluster.stop());

const overlays = readdirSync(`${manifestsFolder}/overlays`);

function find(kind: string, name: string, namespace?: string): Rendered {
  const found = objects.find(
    (object) => object.kind === kind && object.metadata.name === name && object.metadata.namespace === namespace,
  );
  assert.ok(found, `${kind} ${namespace ?? ""}/${name} is not in the overlay`);
  return found;
}

describe("every overlay is accepted by the API server, in one go", () => {
  for (const overlay of overlays) {
    test(overlay, async () => {
      const output = await cluster.kubectl([
        "apply",
        "-k",
        `${manifestsFolder}/overlays/${overlay}`,
        "--dry-run=server",
      ]);
      assert.match(output, /mutatingwebhookconfiguration.admissionregistration.k8s.io\/slipway/);
    });
  }
});

test("every component goes with the default overlay", async (t) => {
  const components = readdirSync(`${manifestsFolder}/components`);
  const folder = await kustomizationWith(t, components);
  // A dry run creates nothing, so the namespaces of components have to be there.
  for (const name of ["registry", "slipway-contract", "slipway-contract-other"]) {
    await cluster.kubectl(["create", "namespace", name]);
  }
  const output = await cluster.kubectl(["apply", "-k", folder, "--dry-run=server"]);
  for (const name of [
    "slipway-serve-push",
    "slipway-serve-node-taint",
    "slipway-opt-in",
    "service/builds",
    "job.batch/contract-check",
  ])
    assert.match(output, new RegExp(name));
});

/** A folder with a kustomization of the default overlay and components, as a user would write it. */
async function kustomizationWith(t: TestContext, components: readonly string[]): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "slipway-kustomization-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const path = (name: string) => relative(folder, `${manifestsFolder}/${name}`);
  const kustomization = {
    resources: [path("overlays/default")],
    components: components.map((name) => path(`components/${name}`)),
  };
  await writeFile(join(folder, "kustomization.yaml"), JSON.stringify(kustomization));
  return folder;
}

test("an overlay holds no custom resource: with its definition in one apply it fails", async () => {
  for (const overlay of overlays) {
    const own = (await render(`overlays/${overlay}`)).filter(({ apiVersion }) =>
      String(apiVersion).startsWith(`${names.group}/`),
    );
    assert.deepEqual(own, [], overlay);
  }
});

test("applying again changes nothing, and keeps the caBundle that serve wrote", async () => {
  const path = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/slipway";
  const caBundle = btoa(cluster.ca);
  const entries = find("MutatingWebhookConfiguration", "slipway").webhooks as readonly { name: string }[];
  const patch = { webhooks: entries.map(({ name }) => ({ name, clientConfig: { caBundle } })) };
  const contentType = "application/strategic-merge-patch+json";
  const patched = await cluster.send({ method: "PATCH", path, body: patch, contentType });
  assert.equal(patched.status, 200, patched.body.message);
  const output = await cluster.kubectl(["apply", "-k", `${manifestsFolder}/overlays/default`]);
  const changed = output
    .trim()
    .split("\n")
    .filter((line) => !line.endsWith(" unchanged"));
  // kubectl says so of every PodDisruptionBudget, whose selector it replaces as a whole.
  assert.deepEqual(changed, ["poddisruptionbudget.policy/slipway configured"]);
  const { body } = await cluster.send({ method: "GET", path });
  for (const { name, clientConfig } of body.webhooks) assert.equal(clientConfig.caBundle, caBundle, name);
});

describe("pods of the templates are admitted under the Pod Security Standard of their namespace", () => {
  for (const [kind, name, namespace, account] of [
    ["Deployment", "slipway", names.systemNamespace, names.serveAccount],
    ["DaemonSet", "node-agent", names.nodeNamespace, names.nodeAgentAccount],
  ] as const) {
    test(name, async () => {
      const { template } = find(kind, name, namespace).spec;
      assert.equal(template.spec.serviceAccountName, account);
      const body = { apiVersion: "v1", kind: "Pod", metadata: { generateName: "try-" }, spec: template.spec };
      const path = `/api/v1/namespaces/${namespace}/pods?dryRun=All&fieldValidation=Strict`;
      const answer = await cluster.send({ method: "POST", path, body });
      assert.equal(answer.status, 201, answer.body.message);
    });
  }

  test("and the restricted one is really enforced in slipway-system", async () => {
    const spec = { serviceAccountName: names.serveAccount, containers: [{ name: "root", image: "a.example/b:1" }] };
    const body = { apiVersion: "v1", kind: "Pod", metadata: { name: "root" }, spec };
    const path = `/api/v1/namespaces/${names.systemNamespace}/pods?dryRun=All`;
    const answer = await cluster.send({ method: "POST", path, body });
    assert.equal(answer.status, 403);
    assert.match(answer.body.message, /violates PodSecurity "restricted/);
  });
});

describe("the names of the manifests are those of the code", () => {
  test("namespaces, and which of them are opted in", () => {
    const found = objects.filter(({ kind }) => kind === "Namespace");
    const optedIn = found.filter(
      ({ metadata }) => (metadata as { labels?: Record<string, string> }).labels?.[names.injectLabel] === "enabled",
    );
    assert.deepEqual(
      found.map(({ metadata }) => metadata.name).sort(),
      [names.checkNamespace, names.checkOtherNamespace, names.nodeNamespace, names.systemNamespace].sort(),
    );
    assert.deepEqual(optedIn.map(({ metadata }) => metadata.name).sort(), [
      names.checkNamespace,
      names.checkOtherNamespace,
    ]);
  });

  test("Service, ports and path of the webhook", () => {
    const { ports } = find("Service", names.serveServiceName, names.systemNamespace).spec;
    assert.deepEqual(
      ports.map(({ port }: { port: number }) => port),
      [names.servePort, names.operationsPort],
    );
    for (const { clientConfig } of find("MutatingWebhookConfiguration", names.webhookConfigurationName).webhooks) {
      const { name, namespace, port, path } = clientConfig.service;
      assert.deepEqual(
        [name, namespace, port, path],
        [names.serveServiceName, names.systemNamespace, names.servePort, "/mutate"],
      );
      assert.equal(clientConfig.caBundle, undefined);
    }
  });

  test("the opt-out overlay changes the webhook, the policy and serve's setting together", async () => {
    const optOut = await render("overlays/opt-out");
    const object = (kind: string, name: string) =>
      optOut.find((entry) => entry.kind === kind && entry.metadata.name === name);
    const { env } = object("Deployment", "slipway")?.spec.template.spec.containers[0] ?? {};
    const setting = Object.fromEntries(env.map(({ name, value }: { name: string; value?: string }) => [name, value]));
    assert.equal(setting.SLIPWAY_INJECT_MODE, "opt-out");
    const excluded = [...names.excludedNamespaces, ...setting.SLIPWAY_EXCLUDE_NAMESPACES.split(",")].sort();
    for (const { namespaceSelector } of object("MutatingWebhookConfiguration", "slipway")?.webhooks ?? []) {
      const [label, name] = namespaceSelector.matchExpressions;
      assert.deepEqual(label, { key: names.injectLabel, operator: "NotIn", values: ["disabled"] });
      assert.deepEqual([...name.values].sort(), excluded);
    }
    const { variables } = object("ValidatingAdmissionPolicy", "slipway-serve-secrets")?.spec ?? {};
    const { expression } = variables.find(({ name }: { name: string }) => name === "served");
    for (const name of excluded.filter((entry) => entry !== names.systemNamespace))
      assert.match(expression, new RegExp(`'${name}'`));
    assert.match(expression, /variables\.inject != 'disabled'/);
  });

  test("namespaces that the webhook never sees", () => {
    for (const { namespaceSelector } of find("MutatingWebhookConfiguration", names.webhookConfigurationName).webhooks) {
      const excluded = namespaceSelector.matchExpressions.find(
        ({ key }: { key: string }) => key === "kubernetes.io/metadata.name",
      );
      assert.deepEqual([...excluded.values].sort(), [...names.excludedNamespaces].sort());
    }
  });

  test("audiences of the projected tokens", () => {
    const audiences = (kind: string, name: string, namespace: string) =>
      find(kind, name, namespace).spec.template.spec.volumes.flatMap(
        (volume: { projected?: { sources: { serviceAccountToken: { audience: string } }[] } }) =>
          (volume.projected?.sources ?? []).map(({ serviceAccountToken }) => serviceAccountToken.audience),
      );
    assert.deepEqual(audiences("Deployment", "slipway", names.systemNamespace), [names.gatewayAudience]);
    assert.deepEqual(audiences("DaemonSet", "node-agent", names.nodeNamespace), [names.agentAudience]);
  });

  test("the node agent declares no ports, which would become ports of the node, and carries no API token", () => {
    const { spec } = find("DaemonSet", "node-agent", names.nodeNamespace).spec.template;
    assert.equal(spec.hostNetwork, true);
    assert.equal(spec.dnsPolicy, "ClusterFirstWithHostNet");
    assert.equal(spec.automountServiceAccountToken, false);
    assert.equal(spec.containers[0].ports, undefined);
    assert.equal(spec.containers[0].readinessProbe.httpGet.port, names.agentProbePort);
  });
});

const administrator: Identity = { user: "admin", groups: ["system:masters", "system:authenticated"] };
const editor: Identity = { user: "editor", groups: ["namespace-editors", "system:authenticated"] };
const granted: Identity = { user: "granted", groups: ["namespace-editors", "opt-in", "system:authenticated"] };

describe("the component that says who may opt a namespace in", () => {
  before(async () => {
    await cluster.kubectl(["apply", "-k", `${manifestsFolder}/components/opt-in-policy`]);
    await cluster.kubectl([
      "create",
      "clusterrole",
      "namespace-editor",
      "--verb=create,update,patch,get",
      "--resource=namespaces",
    ]);
    await cluster.kubectl([
      "create",
      "clusterrolebinding",
      "editors",
      "--clusterrole=namespace-editor",
      "--group=namespace-editors",
    ]);
    await cluster.kubectl(["create", "clusterrolebinding", "opt-in", "--clusterrole=slipway-opt-in", "--group=opt-in"]);
    for (let attempt = 0; attempt < 500; attempt++) {
      if ((await createNamespace(editor, "early", { [names.injectLabel]: "enabled" })).status === 403) return;
    }
    assert.fail("the policy is not in force after 500 requests");
  });

  function createNamespace(as: Identity, name: string, labels: object, annotations: object = {}) {
    const body = { apiVersion: "v1", kind: "Namespace", metadata: { name, labels, annotations } };
    return cluster.send({ method: "POST", path: "/api/v1/namespaces?dryRun=All", body, as });
  }

  function change(as: Identity, name: string, metadata: object) {
    const contentType = "application/merge-patch+json";
    return cluster.send({
      method: "PATCH",
      path: `/api/v1/namespaces/${name}?dryRun=All`,
      body: { metadata },
      contentType,
      as,
    });
  }

  test("refuses the label to whoever may only change namespaces, and says which right is missing", async () => {
    const { status, body } = await createNamespace(editor, "mine", { [names.injectLabel]: "enabled" });
    assert.equal(status, 403);
    assert.match(body.message, /needs the verb opt-in on namespaces \(ClusterRole slipway-opt-in\)/);
    assert.equal((await change(editor, "default", { labels: { [names.injectLabel]: "enabled" } })).status, 403);
  });

  test("refuses the annotations that widen what an opted-in namespace gets", async () => {
    assert.equal(
      (await change(editor, names.checkNamespace, { annotations: { [names.pushAnnotation]: "enabled" } })).status,
      403,
    );
    assert.equal(
      (await change(editor, names.checkNamespace, { annotations: { [names.credentialsAnnotation]: "a" } })).status,
      403,
    );
  });

  test("lets the same person do everything else with namespaces", async () => {
    assert.equal((await createNamespace(editor, "mine", { team: "a" })).status, 201);
    assert.equal((await change(editor, names.checkNamespace, { labels: { team: "a" } })).status, 200);
  });

  test("lets those opt in who have the right, and administrators", async () => {
    assert.equal((await createNamespace(granted, "mine", { [names.injectLabel]: "enabled" })).status, 201);
    assert.equal((await createNamespace(administrator, "mine", { [names.injectLabel]: "enabled" })).status, 201);
  });
});

test("the component push lets serve write the push Secret, and no other further one", async (t) => {
  const as = serviceAccount(names.systemNamespace, names.serveAccount);
  const apply = (name: string) => {
    const data = { ".dockerconfigjson": btoa('{"auths":{}}') };
    const body = { apiVersion: "v1", kind: "Secret", metadata: { name }, type: "kubernetes.io/dockerconfigjson", data };
    const path = `/api/v1/namespaces/${names.checkNamespace}/secrets/${name}`;
    return cluster.send({ method: "PATCH", path, body, as });
  };
  assert.equal((await apply(names.pushSecretName)).status, 403);
  await cluster.kubectl(["apply", "-k", await kustomizationWith(t, ["push"])]);
  assert.equal((await apply(names.pushSecretName)).status, 201);
  assert.equal((await apply("other")).status, 403);
});

test("the component node-taint lets serve change nodes, and not delete them", async (t) => {
  const as = serviceAccount(names.systemNamespace, names.serveAccount);
  const path = "/api/v1/nodes/a";
  const node = { apiVersion: "v1", kind: "Node", metadata: { name: "a" } };
  assert.equal((await cluster.send({ method: "POST", path: "/api/v1/nodes", body: node })).status, 201);
  const contentType = "application/merge-patch+json";
  const patch = () => cluster.send({ method: "PATCH", path, contentType, body: { spec: { taints: [] } }, as });
  assert.equal((await patch()).status, 403);
  await cluster.kubectl(["apply", "-k", await kustomizationWith(t, ["node-taint"])]);
  assert.equal((await patch()).status, 200);
  assert.equal((await cluster.send({ method: "DELETE", path, as })).status, 403);
});

describe("the component contract-check", () => {
  const as = serviceAccount("slipway-contract", "contract-check");
  const pod = (namespace: string) => {
    const securityContext = { runAsNonRoot: true, runAsUser: 1, seccompProfile: { type: "RuntimeDefault" } };
    const own = { allowPrivilegeEscalation: false, capabilities: { drop: ["ALL"] } };
    const containers = [{ name: "a", image: "a.example/b:1", securityContext: own }];
    const body = { apiVersion: "v1", kind: "Pod", metadata: { name: "a" }, spec: { securityContext, containers } };
    return { method: "POST", path: `/api/v1/namespaces/${namespace}/pods?dryRun=All`, body, as } as const;
  };

  before(async () => {
    await cluster.kubectl(["apply", "-k", `${manifestsFolder}/components/contract-check`]);
    for (const namespace of ["slipway-contract", "slipway-contract-other"]) {
      const body = { apiVersion: "v1", kind: "ServiceAccount", metadata: { name: "default" } };
      await cluster.send({ method: "POST", path: `/api/v1/namespaces/${namespace}/serviceaccounts`, body });
    }
  });

  test("lets its account create and delete pods in its two namespaces, and nowhere else", async () => {
    for (const namespace of ["slipway-contract", "slipway-contract-other"]) {
      assert.equal((await cluster.send(pod(namespace))).status, 201);
      const path = `/api/v1/namespaces/${namespace}/pods/none`;
      assert.equal((await cluster.send({ method: "DELETE", path, as })).status, 404);
    }
    assert.equal((await cluster.send(pod("slipway-check"))).status, 403);
    assert.equal((await cluster.send(pod("default"))).status, 403);
  });

  test("lets it read Events there and the list of nodes, and neither Secrets nor pods", async () => {
    const get = async (path: string) => (await cluster.send({ method: "GET", path, as })).status;
    assert.equal(await get("/apis/events.k8s.io/v1/namespaces/slipway-contract/events"), 200);
    assert.equal(await get("/api/v1/nodes"), 200);
    for (const path of [
      "/apis/events.k8s.io/v1/namespaces/slipway-check/events",
      "/api/v1/nodes/a",
      "/api/v1/namespaces/slipway-contract/secrets",
      "/api/v1/namespaces/slipway-contract/secrets/slipway-push",
      "/api/v1/namespaces/slipway-contract/pods",
      "/api/v1/namespaces",
    ]) {
      assert.equal(await get(path), 403, path);
    }
  });

  test("has a Job whose pod meets the restricted standard of its namespace", async () => {
    const job = (await render("components/contract-check")).find(({ kind }) => kind === "Job");
    const body = { apiVersion: "v1", kind: "Pod", metadata: { generateName: "try-" }, spec: job?.spec.template.spec };
    const path = "/api/v1/namespaces/slipway-contract/pods?dryRun=All&fieldValidation=Strict";
    const answer = await cluster.send({ method: "POST", path, body });
    assert.equal(answer.status, 201, answer.body.message);
  });
});
