import assert from "node:assert/strict";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { createServer } from "node:net";
import { PassThrough } from "node:stream";
import { after, before, describe, test } from "node:test";
import { systemClock } from "../../../src/clock.ts";
import { resources } from "../../../src/cluster/resource.ts";
import { run } from "../../../src/command/gateway.ts";
import { registryKeysSecretName, systemNamespace } from "../../../src/config/names.ts";
import { type RealApiServer, signal, startRealApiServer } from "../cluster/api-server.ts";
import { type Certificates, issueCertificates, key, namespaceObject, secretObject } from "./harness.ts";
import { startRecorder } from "./recorder.ts";
import { createRegistryClient, pullLogin } from "./registry-client.ts";

const crd = {
  metadata: { name: "localregistries.slipway.dev" },
  spec: {
    group: "slipway.dev",
    scope: "Cluster",
    names: { kind: "LocalRegistry", plural: "localregistries" },
    versions: [
      {
        name: "v1alpha1",
        served: true,
        storage: true,
        schema: { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } },
      },
    ],
  },
};
const crds = {
  group: "apiextensions.k8s.io",
  version: "v1",
  kind: "CustomResourceDefinition",
  plural: "customresourcedefinitions",
  namespaced: false,
};

async function freePort(): Promise<string> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return String(port);
}

describe("slipway gateway against a real API server", () => {
  let server: RealApiServer;
  let recorder: Awaited<ReturnType<typeof startRecorder>>;
  let certificates: Certificates;
  before(async () => {
    server = await startRealApiServer();
    recorder = await startRecorder();
    certificates = await issueCertificates();
    await server.api.create(resources.namespaces, { metadata: { name: systemNamespace } }, { signal });
    await server.api.create(crds, crd, { signal });
    for (const secret of certificates.secrets) await server.api.create(resources.secrets, secret, { signal });
  });
  after(async () => {
    await recorder.stop();
    await server.stop();
  });

  test("is ready once it has read the key Secret, follows namespaces, and ends cleanly", async () => {
    const [port, operationsPort] = [await freePort(), await freePort()];
    const stop = new AbortController();
    const stream = new PassThrough().resume();
    const flags = { port, "operations-port": operationsPort, "distribution-url": recorder.url, "log-level": "silent" };
    const args = Object.entries({ ...flags, kubeconfig: server.controlPlane.kubeconfigPath }).map(
      ([name, value]) => `--${name}=${value}`,
    );
    const running = run({ args, env: {}, stdin: stream, stdout: stream, stderr: stream, stop: stop.signal });
    const readiness = async (wanted: RegExp): Promise<void> => {
      for (;;) {
        const text = await fetch(`http://127.0.0.1:${operationsPort}/readyz`).then(
          (answer) => answer.text(),
          () => "",
        );
        if (wanted.test(text)) return;
        await systemClock.sleep(50, signal);
      }
    };
    await readiness(/^\[-\]keys failed: [^[]*not ok\n$/);
    const keys = secretObject(registryKeysSecretName, { "keys.json": JSON.stringify({ generations: [key] }) });
    await server.api.create(resources.secrets, keys, { signal });
    await readiness(/^ok\n$/);
    const { metadata } = namespaceObject("team-x", "");
    const created = await server.api.create(
      resources.namespaces,
      { metadata: { name: "team-x", labels: metadata.labels ?? {} } },
      { signal },
    );
    const client = createRegistryClient({ url: `https://127.0.0.1:${port}`, ca: certificates.ca });
    const login = pullLogin("team-x", created.metadata.uid ?? "");
    for (let token = ""; token === ""; await systemClock.sleep(100, signal)) {
      token = await client.token(login).catch(() => "");
    }
    client.close();
    stop.abort();
    assert.equal(await running, 0);
  });
});
