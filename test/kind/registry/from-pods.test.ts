import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { before, type TestContext } from "node:test";
import { parse } from "yaml";
import { pushImage as pushParts } from "../../integration/gateway/registry-client.ts";
import { certsFolder } from "../access.ts";
import { everyReplicaGives } from "../admission.ts";
import { type Cluster, execute, openCluster } from "../cluster.ts";
import { applyComponents } from "../components.ts";
import { eventually } from "../eventually.ts";
import { kindTest, optedInNamespace } from "../harness.ts";
import { makeImage, saveImage } from "../image.ts";
import { startPod, startPods, waitForEnd } from "../pod.ts";
import { pushImage, registryHost, slipway } from "../slipway.ts";
import { buildPodManifest, skopeoCopy } from "./build-pod.ts";
import { askAs, openNodePort, readAcceptedLogin, readAdminLogin } from "./direct-client.ts";
import { whyNoSkopeo } from "./docker-client.ts";
import { readSection, yamlBlocks } from "./documentation.ts";
import { changeLocalRegistry } from "./local-registry.ts";
import { makeSkopeoImage } from "./skopeo-image.ts";

before(() => applyComponents(openCluster()));

kindTest("the build pod of the docs pushes by the Service name, and its namespace starts the image", async (test) => {
  const { cluster, t } = test;
  const missing = whyNoSkopeo();
  if (missing !== undefined) return t.skip(missing);
  const namespace = test.namespaceName("team-a");
  const local = `slipway-test/${test.word()}:1`;
  await makeImage(t, local, test.word());
  const skopeo = `slipway-test/${test.word()}:skopeo`;
  await makeSkopeoImage(t, skopeo, local);
  const { spec } = await cluster.get("localregistry", { name: "default" });
  const sharedRepositories = [...spec.auth.sharedRepositories, "quay.io/skopeo/**"];
  await changeLocalRegistry(t, cluster, { auth: { sharedRepositories } });
  await pushImage(cluster, skopeo, "quay.io/skopeo/stable:latest");
  await cluster.apply(optedInNamespace(namespace, { "slipway.dev/push": "enabled" }));
  await cluster.wait("secret/slipway-push", "create", { namespace });

  // The repository is shared, and each replica knows of the image: else the pod would ask quay.io.
  const tool = { name: "asked", namespace, image: "quay.io/skopeo/stable:latest" };
  await everyReplicaGives(cluster, tool, `${registryHost}/${tool.image}`);
  const [manifest = ""] = yamlBlocks(await readSection("A pod that builds and pushes"));
  await cluster.apply(manifest.replaceAll("team-a", namespace));
  const { exitCode, log } = await waitForEnd(cluster, { name: "build", namespace });
  assert.equal(exitCode, 0, log);
  await startPod(cluster, { name: "app", namespace, image: `${registryHost}/${namespace}/app:1.0` });
});

kindTest("the pod of the docs pushes as its ServiceAccount, and not before it is bound to the Role", async (test) => {
  const { cluster, t } = test;
  const namespace = test.namespaceName("team-a");
  const inNamespace = (text: string) => text.replaceAll("team-a", namespace);
  const { data } = await cluster.get("configmap", { name: "slipway-ca", namespace: "slipway-node" });
  const [role = ""] = yamlBlocks(await readSection("ServiceAccounts"));
  const [, pod = ""] = yamlBlocks(await readSection("A pod that builds and pushes"));
  await cluster.apply(optedInNamespace(namespace));
  await cluster.kubectl(["create", "serviceaccount", "builder", "--namespace", namespace]);
  await cluster.apply(configMap(namespace, "slipway-ca", { data: { "ca.crt": data["ca.crt"] } }));
  const archive = await readFile(await saveTinyImage(t));
  await cluster.apply(configMap(namespace, "image", { binaryData: { "image.tar": archive.toString("base64") } }));

  // Into a repository of its own, since a refusal is remembered for up to a minute.
  await cluster.apply(inNamespace(pod.replace("name: push,", "name: unbound,").replace("/app:1.1", "/unbound:1.1")));
  const refused = await waitForEnd(cluster, { name: "unbound", namespace });
  assert.notEqual(refused.exitCode, 0);
  assert.match(refused.log, /has no right to it/);

  await cluster.apply(inNamespace(role));
  const subject = `--serviceaccount=${namespace}:builder`;
  await cluster.kubectl([
    ...["create", "rolebinding", "push-images", "--role=push-images", subject, "--namespace", namespace],
  ]);
  await bindingIsInForce(cluster, namespace);
  await cluster.apply(inNamespace(pod));
  const { exitCode, log } = await waitForEnd(cluster, { name: "push", namespace });
  assert.equal(exitCode, 0, log);
  const images: readonly { readonly tag: string }[] = JSON.parse(
    await slipway(cluster, ["images", "ls", "--namespace", namespace, "--output", "json"]),
  );
  assert.deepEqual(
    images.map(({ tag }) => tag),
    ["1.1"],
  );
});

/** The API server's own authorizer has heard of it: a refusal would be remembered. */
async function bindingIsInForce(cluster: Cluster, namespace: string): Promise<void> {
  const resourceAttributes = { namespace, verb: "push", group: "slipway.dev", resource: "repositories", name: "app" };
  const review = JSON.stringify({
    apiVersion: "authorization.k8s.io/v1",
    kind: "SubjectAccessReview",
    spec: { user: `system:serviceaccount:${namespace}:builder`, resourceAttributes },
  });
  await eventually("the binding is in force", async () => {
    const { status } = JSON.parse(await cluster.kubectl(["create", "-f", "-", "-o", "json"], review));
    return status.allowed || undefined;
  });
}

function configMap(namespace: string, name: string, content: Readonly<Record<string, unknown>>): string {
  return JSON.stringify({ apiVersion: "v1", kind: "ConfigMap", metadata: { name, namespace }, ...content });
}

/** A docker archive of a few kilobytes, so that it fits into a ConfigMap. @returns its path */
async function saveTinyImage(t: TestContext): Promise<string> {
  const name = "slipway-test/tiny:1";
  const folder = await mkdtemp(join(tmpdir(), "slipway-tiny-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  await writeFile(join(folder, "slipway-test"), "tiny");
  await execute("tar", ["--create", "--file", join(folder, "root.tar"), "--directory", folder, "slipway-test"]);
  await execute("docker", ["import", join(folder, "root.tar"), name]);
  t.after(() => execute("docker", ["rmi", "--force", name]));
  return saveImage(t, name);
}

kindTest("a push login mounts its own blobs, and another namespace's become an ordinary upload", async (test) => {
  const { cluster, t } = test;
  const client = await openNodePort(t, cluster);
  const [mine, other] = [test.namespaceName("left"), test.namespaceName("right")];
  await cluster.apply(optedInNamespace(mine, { "slipway.dev/push": "enabled" }));
  const admin = await readAdminLogin(cluster);
  const own = await pushParts(client, admin, { repository: `${mine}/app`, tag: "1", content: test.word() });
  const theirs = await pushParts(client, admin, { repository: `${other}/app`, tag: "1", content: test.word() });
  const login = await readAcceptedLogin(client, cluster, { namespace: mine, name: "slipway-push" });
  const mount = async (from: string, digest: string) => {
    const scope = `repository:${mine}/copy:pull,push repository:${from}/app:pull`;
    const path = `/v2/${mine}/copy/blobs/uploads/?mount=${digest}&from=${from}/app`;
    return (await askAs(client, login, scope, { method: "POST", path })).status;
  };
  assert.equal(await mount(mine, own.layer), 201);
  assert.equal(await mount(other, theirs.layer), 202);
});

/** Puts the block of the docs where they say, above `kubernetes`; the Corefile is what it was after the test. */
async function addHosts(t: TestContext, cluster: Cluster, block: string): Promise<void> {
  const place = ["--namespace", "kube-system"];
  const { data } = await cluster.get("configmap", { name: "coredns", namespace: "kube-system" });
  const before: string = data.Corefile;
  const write = async (Corefile: string) => {
    const patch = JSON.stringify({ data: { Corefile } });
    await cluster.kubectl(["patch", "configmap/coredns", ...place, "--type=merge", "--patch", patch]);
  };
  // No later test asks for names from pods.
  t.after(() => write(before));
  const changed = before.replace(/^ *kubernetes /m, (line) => `${block}\n${line}`);
  assert.notEqual(changed, before, "the Corefile has no line 'kubernetes'");
  await write(changed);
  // CoreDNS looks at its file every half minute by itself; a restart is sooner.
  await cluster.kubectl(["rollout", "restart", "deployment/coredns", ...place]);
  await cluster.kubectl(["rollout", "status", "deployment/coredns", ...place, "--timeout=300s"]);
}

kindTest(
  "the aliases of the docs work for pods, which push by them, and for nodes, which pull by them",
  async (test) => {
    const { cluster, t } = test;
    const missing = whyNoSkopeo();
    if (missing !== undefined) return t.skip(missing);
    const section = await readSection("Aliases");
    const aliases: readonly string[] = parse(yamlBlocks(section)[0] ?? "").spec.aliases;
    assert.deepEqual(aliases, ["builds.registry.svc.cluster.local", "container-registry.local:5000"]);
    const [hosts] = /^ *hosts \{\n[^}]*\}$/m.exec(section) ?? [];
    assert.match(hosts ?? "", /^ *192\.0\.2\.1 container-registry\.local$/m);

    const namespace = test.namespaceName("aliases");
    const local = `slipway-test/${test.word()}:1`;
    await makeImage(t, local, test.word());
    const skopeo = `slipway-test/${test.word()}:skopeo`;
    await makeSkopeoImage(t, skopeo, local);
    const service = await cluster.get("service", { name: "registry", namespace: "slipway-system" });
    await addHosts(t, cluster, (hosts ?? "").replace("192.0.2.1", service.spec.clusterIP));
    // The namespace is there before the aliases: its Secrets have to follow.
    await cluster.apply(optedInNamespace(namespace, { "slipway.dev/push": "enabled" }));
    await cluster.wait("secret/slipway-push", "create", { namespace });
    await changeLocalRegistry(t, cluster, { aliases });
    const tool = await pushImage(cluster, skopeo, `${namespace}/skopeo:1`);
    await waitForAliases(cluster, { namespace, aliases, address: service.spec.clusterIP });

    const nodes = await cluster.nodes();
    const tryAlias = async (alias: string, index: number) => {
      const image = `${alias}/${namespace}/app-${index}:1`;
      const args = [...skopeoCopy, `docker://${image}`];
      await cluster.apply(buildPodManifest({ name: `push-${index}`, namespace, image: tool, args }));
      const { exitCode, log } = await waitForEnd(cluster, { name: `push-${index}`, namespace });
      assert.equal(exitCode, 0, log);
      await startPods(
        cluster,
        nodes.map((node) => ({ name: `app-${index}-${node}`, namespace, image, node, pullPolicy: "Always" })),
      );
    };
    await Promise.all(aliases.map(tryAlias));
  },
);

/** The Secrets have keys for them, and on each node they are known, reached and in the registry's certificate. */
async function waitForAliases(
  cluster: Cluster,
  wanted: { readonly namespace: string; readonly aliases: readonly string[]; readonly address: string },
): Promise<void> {
  const { namespace, aliases, address } = wanted;
  for (const name of ["slipway-pull", "slipway-push"]) {
    await eventually(`Secret ${name} has the aliases`, async () => {
      const { data } = await cluster.get("secret", { name, namespace });
      const { auths } = JSON.parse(Buffer.from(data[".dockerconfigjson"], "base64").toString());
      return aliases.every((alias) => alias in auths) || undefined;
    });
  }
  for (const node of await cluster.nodes()) {
    for (const alias of aliases) {
      const { hostname, port } = new URL(`https://${alias}`);
      const to = `${hostname}:${port || 443}:${address}:${port || 443}`;
      const ca = `${certsFolder}/${alias}/slipway-ca.crt`;
      const ask = ["curl", "--silent", "--max-time", "5", "--cacert", ca, "--connect-to", to, `https://${alias}/v2/`];
      await eventually(`${node} reaches ${alias}`, () => cluster.onNode(node, ask));
    }
  }
}
