import assert from "node:assert/strict";
import type { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { after, before } from "node:test";
import { connect } from "node:tls";
import { type Cluster, type KubernetesJson, openCluster } from "../cluster.ts";
import { failedPulls, type KindTest, kindTest, optedInNamespace } from "../harness.ts";
import { makeImage } from "../image.ts";
import { applyComponents } from "./components.ts";
import { openClient, openNodePort, readLogin } from "./direct-client.ts";
import { whyNoSkopeo } from "./docker-client.ts";
import { eventually } from "./eventually.ts";
import { type PodLoop, startPodLoop } from "./pod-loop.ts";
import { makeSkopeoImage } from "./skopeo-image.ts";
import { pushImage, registryHost, slipway } from "./slipway.ts";

let removeComponents = async () => {};
before(async () => {
  removeComponents = await applyComponents(openCluster(), ["push"]);
});
after(() => removeComponents());

/** A pod that pushes all the time, with the login and the CA as they are mounted, and ends at the first failure. */
function pushingPod(namespace: string, image: string): string {
  const push = `skopeo copy --dest-cert-dir=/registry --authfile=/registry/config.json oci:/image`;
  const command = `n=0; while ${push} docker://${registryHost}/${namespace}/pushed:$n; do n=$((n+1)); sleep 1; done; exit 1`;
  const items = [
    { key: ".dockerconfigjson", path: "config.json" },
    { key: "ca.crt", path: "ca.crt" },
  ];
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "pushing", namespace },
    spec: {
      restartPolicy: "Never",
      terminationGracePeriodSeconds: 0,
      containers: [
        {
          name: "push",
          image,
          command: ["sh", "-c", command],
          volumeMounts: [{ name: "registry", mountPath: "/registry", readOnly: true }],
        },
      ],
      volumes: [{ name: "registry", secret: { secretName: "slipway-push", items } }],
    },
  });
}

/** Two namespaces in which pods start all the time, from an image that both may pull; in the first one pushes as well. */
async function startLoad(test: KindTest): Promise<{ readonly load: PodLoop; readonly namespaces: readonly string[] }> {
  const { cluster, t } = test;
  const namespaces = [test.namespaceName("load"), test.namespaceName("load")];
  const [first = ""] = namespaces;
  const local = `slipway-test/${test.word()}:1`;
  await makeImage(t, local, test.word());
  const skopeo = `slipway-test/${test.word()}:skopeo`;
  await makeSkopeoImage(t, skopeo, local);
  for (const namespace of namespaces) {
    await cluster.apply(optedInNamespace(namespace, { "slipway.dev/push": "enabled" }));
  }
  await cluster.wait("secret/slipway-push", "create", { namespace: first });
  await cluster.apply(pushingPod(first, await pushImage(cluster, skopeo, `${first}/skopeo:1`)));
  await cluster.wait("pod/pushing", "condition=Ready", { namespace: first });
  const image = await pushImage(cluster, local, `docker.io/library/slipway-${test.word()}:1`);
  const load = startPodLoop(cluster, image, namespaces);
  await load.more(2);
  return { load, namespaces };
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

/** Asks for a new CA as docs/security.md says. */
async function rotateAuthority(cluster: Cluster, word: string): Promise<void> {
  const place = ["--namespace", "slipway-system", "--overwrite"];
  await cluster.kubectl(["annotate", "secret/slipway-ca", `slipway.dev/rotate=${word}`, ...place]);
}

kindTest("the key and the CA are rotated while pods start and push in a loop, and none is refused", async (test) => {
  const { cluster, t } = test;
  const missing = whyNoSkopeo();
  if (missing !== undefined) return t.skip(missing);
  const { url } = await openNodePort(t, cluster);
  const { load, namespaces } = await startLoad(test);
  const [first = ""] = namespaces;
  const old = { login: await readLogin(cluster, first), certificate: await servedCertificate(url) };
  const started = load.started();
  try {
    await rotateAuthority(cluster, test.word());
    const told = await slipway(cluster, ["rotate", "--timeout", "180"]);
    assert.match(told, /have a new login; the old ones are refused/);
    await eventually(
      "a certificate of the new CA",
      async () => ((await servedCertificate(url)).issuer === old.certificate.issuer ? undefined : true),
      { withinMs: 240_000, everyMs: 2_000 },
    );
    assert.ok(load.started() > started + 10, `only ${load.started() - started} pods were started in the meantime`);
    await load.more(4);
  } finally {
    await load.stop();
  }
  for (const namespace of namespaces) {
    assert.deepEqual(await failedPulls(cluster, namespace), []);
    const { items } = await cluster.get("pods", { namespace });
    for (const { metadata, spec } of items) {
      assert.deepEqual(spec.imagePullSecrets, [{ name: "slipway-pull" }], `${metadata.name} missed the webhook`);
    }
  }
  const { status } = await cluster.get("pod", { name: "pushing", namespace: first });
  const log = await cluster.kubectl(["logs", "pushing", "--namespace", first, "--tail=20"]);
  assert.equal(status.phase, "Running", log);

  const client = await openClient(t, cluster);
  await client.token(await readLogin(cluster, first));
  await assert.rejects(client.token(old.login), /no token: 401/);
  const events: readonly KubernetesJson[] = (await cluster.get("events", { namespace: "slipway-system" })).items;
  assert.ok(!events.some(({ reason }) => reason === "BackOff"));
});
