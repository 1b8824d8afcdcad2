import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Cluster, KubernetesJson } from "../cluster.ts";
import { execute } from "../cluster.ts";
import { eventually } from "../eventually.ts";
import { type KindTest, kindTest, optedInNamespace } from "../harness.ts";
import { makeImage } from "../image.ts";
import { startPod } from "../pod.ts";
import { registryHost, slipway } from "../slipway.ts";
import { type DockerClient, loginDocker, whyNoDockerTrust, whyNoSkopeo } from "./docker-client.ts";
import { forwardCommand, readHostingDocument } from "./hosting-document.ts";
import { changeLocalRegistry, mergeSpec } from "./local-registry.ts";
import { startPortForward } from "./port-forward.ts";

const nodePort = 31113;

/** What every way from outside has to do: docker, skopeo and our own command push, and a pod starts each image. */
async function pushByEachClient(test: KindTest, client: DockerClient): Promise<void> {
  const { cluster, t } = test;
  const namespace = test.namespaceName("outside");
  await cluster.apply(optedInNamespace(namespace));
  const local = `slipway-test/${test.word()}:1`;
  await makeImage(t, local, test.word());
  const starts = (name: string) =>
    startPod(cluster, { name, namespace, image: `${registryHost}/${namespace}/${name}:1`, pullPolicy: "Always" });

  await t.test("docker", { skip: (await whyNoDockerTrust()) ?? false }, async () => {
    const name = `${client.host}/${namespace}/docker:1`;
    const id = async (image: string) => (await client.docker("image", "inspect", "--format={{.Id}}", image)).trim();
    await client.docker("tag", local, name);
    t.after(() => execute("docker", ["rmi", "--force", "--no-prune", name]));
    await client.docker("push", name);
    await client.docker("rmi", "--no-prune", name);
    await client.docker("pull", name);
    assert.equal(await id(name), await id(local));
    await starts("docker");
  });

  await t.test("skopeo, with our CA only", { skip: whyNoSkopeo() ?? false }, async () => {
    const folder = await mkdtemp(join(tmpdir(), "slipway-skopeo-"));
    t.after(() => rm(folder, { recursive: true, force: true }));
    const target = `docker://${client.host}/${namespace}/skopeo:1`;
    const push = (...trust: readonly string[]) =>
      client.skopeo("copy", ...trust, `--authfile=${client.authFile}`, `docker-daemon:${local}`, target);
    await assert.rejects(push(`--dest-cert-dir=${folder}`), /certificate signed by unknown authority|x509/);
    await push(`--dest-cert-dir=${client.certificatesFolder}`);
    await starts("skopeo");
  });

  await t.test("slipway images push", async () => {
    const reference = await slipway(cluster, ["images", "push", local, `${namespace}/slipway:1`]);
    assert.equal(reference.trim(), `${registryHost}/${namespace}/slipway:1`);
    await starts("slipway");
  });
}

/** What tools of other makers read, KEP-1755. */
async function assertPublished(cluster: Cluster, host: string): Promise<void> {
  const document = await readHostingDocument(cluster);
  const { endpoints } = (await cluster.get("localregistry", { name: "default" })).status;
  assert.equal(document.host, host);
  assert.equal(document.hostFromClusterNetwork, registryHost);
  assert.equal(document.hostFromContainerRuntime, endpoints.hostFromContainerRuntime);
  assert.ok([registryHost, "127.0.0.1:7443"].includes(document.hostFromContainerRuntime ?? ""));
  assert.match(document.help ?? "", /slipway images push[\s\S]*slipway login[\s\S]*-----BEGIN CERTIFICATE-----/);
  assert.equal(forwardCommand(document) !== undefined, host.startsWith("localhost:"));
}

kindTest("not exposed: docker, skopeo and slipway push by the port-forward that the help names", async (test) => {
  const { cluster, t } = test;
  await assertPublished(cluster, "localhost:5443");
  const command = forwardCommand(await readHostingDocument(cluster));
  assert.ok(command !== undefined);
  const client = await loginDocker(t, cluster);
  assert.equal(client.host, "localhost:5443");
  await startPortForward(t, cluster, command);
  await pushByEachClient(test, client);
});

kindTest("a NodePort: docker, skopeo and slipway push by a node's address", async (test) => {
  const { cluster, t } = test;
  const { status } = await changeLocalRegistry(t, cluster, { exposure: { nodePort } });
  const { items } = await cluster.get("nodes");
  const hosts = items.flatMap(({ status }: KubernetesJson) =>
    status.addresses
      .filter(({ type }: KubernetesJson) => type === "InternalIP")
      .map(({ address }: KubernetesJson) => `${address}:${nodePort}`),
  );
  assert.ok(hosts.includes(status.endpoints.host), `${status.endpoints.host} is none of ${hosts}`);
  await assertPublished(cluster, status.endpoints.host);
  const client = await loginDocker(t, cluster);
  assert.equal(client.host, status.endpoints.host);
  // Every node answers, with a certificate for its own address, once kube-proxy and the gateway have followed.
  const trust = ["--cacert", join(client.certificatesFolder, "ca.crt")];
  for (const host of hosts) {
    await eventually(`${host} answers`, () => execute("curl", ["--silent", ...trust, `https://${host}/v2/`]));
  }
  await pushByEachClient(test, client);
});

kindTest("what is published for other tools follows the exposure and the node access", async (test) => {
  const { cluster, t } = test;
  const host = "registry.example.com";
  await changeLocalRegistry(t, cluster, { exposure: { ingress: { host, tlsSecretName: "registry-example-com" } } });
  await assertPublished(cluster, host);
  const ingress = await cluster.get("ingress", { name: "registry", namespace: "slipway-system" });
  assert.deepEqual(ingress.spec.tls, [{ hosts: [host], secretName: "registry-example-com" }]);
  await mergeSpec(cluster, { exposure: null, host, aliases: ["container-registry.local:5000"] });
  const renamed = await readHostingDocument(cluster);
  assert.equal(renamed.host, "localhost:5443");
  assert.equal(renamed.hostFromContainerRuntime, host);
  assert.equal(renamed.hostFromClusterNetwork, registryHost);
});
