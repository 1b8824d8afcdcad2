import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { connect } from "node:tls";
import type { Cluster, KubernetesJson } from "./cluster.ts";
import { applyComponents } from "./components.ts";
import { eventually } from "./eventually.ts";
import { failedPulls, type KindTest, optedInNamespace } from "./harness.ts";
import { makeImage } from "./image.ts";
import { type PodLoop, startPodLoop } from "./pod-loop.ts";
import { buildPodManifest, skopeoCopy } from "./registry/build-pod.ts";
import { openClient, openNodePort, readLogin } from "./registry/direct-client.ts";
import { whyNoSkopeo } from "./registry/docker-client.ts";
import { makeSkopeoImage } from "./registry/skopeo-image.ts";
import { pushImage, registryHost, slipway } from "./slipway.ts";

const system = "slipway-system";

/** A pod that pushes all the time, with the login and the CA as they are mounted, and ends at the first failure. */
function pushingPod(namespace: string, image: string): string {
  const push = `skopeo ${skopeoCopy.join(" ")} docker://${registryHost}/${namespace}/pushed:$n`;
  const command = `n=0; while ${push}; do n=$((n+1)); sleep 1; done; exit 1`;
  return buildPodManifest({ name: "pushing", namespace, image, command: ["sh", "-c", command] });
}

type Load = { readonly loop: PodLoop; readonly namespaces: readonly [string, string] };

/** Pods start on each node all the time, in two namespaces, from an image that both may pull; in the first one pushes. */
async function startLoad(test: KindTest): Promise<Load> {
  const { cluster, t } = test;
  const namespaces = [test.namespaceName("load"), test.namespaceName("load")] as const;
  const local = `slipway-test/${test.word()}:1`;
  await makeImage(t, local, test.word());
  for (const namespace of namespaces) {
    await cluster.apply(optedInNamespace(namespace, { "slipway.dev/push": "enabled" }));
  }
  const missing = whyNoSkopeo();
  if (missing === undefined) await startPushing(test, namespaces[0], local);
  else t.diagnostic(`no pod pushes: ${missing}`);
  const image = await pushImage(cluster, local, `docker.io/library/slipway-${test.word()}:1`);
  const places = (await cluster.nodes()).map((node, index) => ({
    prefix: `load-${index}`,
    namespace: namespaces[index % 2] ?? "",
    node,
  }));
  const loop = startPodLoop(cluster, image, places);
  await loop.more(1);
  return { loop, namespaces };
}

async function startPushing({ cluster, t, word }: KindTest, namespace: string, content: string): Promise<void> {
  const skopeo = `slipway-test/${word()}:skopeo`;
  await makeSkopeoImage(t, skopeo, content);
  await cluster.wait("secret/slipway-push", "create", { namespace });
  await cluster.apply(pushingPod(namespace, await pushImage(cluster, skopeo, `${namespace}/skopeo:1`)));
  await cluster.wait("pod/pushing", "condition=Ready", { namespace });
}

/** The certificate that a server sends, whoever signed it. */
async function servedCertificate(url: string): Promise<X509Certificate> {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port), rejectUnauthorized: false });
  try {
    await once(socket, "secureConnect");
    const certificate = socket.getPeerX509Certificate();
    assert.ok(certificate !== undefined);
    return certificate;
  } finally {
    socket.destroy();
  }
}

/** The CA in use. */
async function readAuthority(cluster: Cluster): Promise<X509Certificate> {
  const { data } = await cluster.get("secret", { name: "slipway-ca", namespace: system });
  return new X509Certificate(Buffer.from(data["ca.crt"], "base64"));
}

/** How often each container of Slipway has restarted. */
async function restarts(cluster: Cluster): Promise<Readonly<Record<string, number>>> {
  const { items } = await cluster.get("pods", { namespace: system });
  return Object.fromEntries(
    items.flatMap(({ metadata, status }: KubernetesJson) =>
      status.containerStatuses.map(({ name, restartCount }: KubernetesJson) => [
        `${metadata.name}/${name}`,
        restartCount,
      ]),
    ),
  );
}

/**
 * A new key and a new CA, asked for as docs/security.md says, while pods start and push. Two minutes at least: mounted
 * bundles have to follow, see settleMs in src/tls/decide.ts.
 */
export async function rotateUnderLoad(test: KindTest): Promise<void> {
  const { cluster, t } = test;
  await applyComponents(cluster);
  const { url } = await openNodePort(t, cluster);
  const { loop, namespaces } = await startLoad(test);
  const [first] = namespaces;
  const old = { login: await readLogin(cluster, first), authority: await readAuthority(cluster) };
  const before = await restarts(cluster);
  assert.ok(
    (await servedCertificate(url)).verify(old.authority.publicKey),
    "the CA in use did not sign what is served",
  );
  try {
    const place = ["--namespace", system, "--overwrite"];
    await cluster.kubectl(["annotate", "secret/slipway-ca", `slipway.dev/rotate=${test.word()}`, ...place]);
    const told = await slipway(cluster, ["rotate", "--timeout", "600"]);
    assert.match(told, /have a new login; the old ones are refused/);
    await loop.more(1);
    await eventually(
      "a certificate of the new CA is served",
      async () => {
        const authority = await readAuthority(cluster);
        const served = await servedCertificate(url);
        return authority.fingerprint !== old.authority.fingerprint && served.verify(authority.publicKey)
          ? true
          : undefined;
      },
      { withinMs: 900_000, everyMs: 1_000 },
    );
    await loop.more(2);
  } finally {
    await loop.stop();
  }
  for (const namespace of namespaces) {
    assert.deepEqual(await failedPulls(cluster, namespace), []);
    const { items } = await cluster.get("pods", { namespace });
    for (const { metadata, spec } of items) {
      assert.deepEqual(spec.imagePullSecrets, [{ name: "slipway-pull" }], `${metadata.name} missed the webhook`);
    }
  }
  await assertStillPushing(cluster, first);
  const client = await openClient(t, cluster);
  await client.token(await readLogin(cluster, first));
  await assert.rejects(client.token(old.login), /no token: 401/);
  assert.deepEqual(await restarts(cluster), before);
}

async function assertStillPushing(cluster: Cluster, namespace: string): Promise<void> {
  if (whyNoSkopeo() !== undefined) return;
  const { status } = await cluster.get("pod", { name: "pushing", namespace });
  const log = await cluster.kubectl(["logs", "pushing", "--namespace", namespace, "--tail=20"]);
  assert.equal(status.phase, "Running", log);
}
