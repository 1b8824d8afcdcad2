import { PassThrough } from "node:stream";
import { systemClock } from "../../../src/clock.ts";
import { resources } from "../../../src/cluster/resource.ts";
import { run } from "../../../src/command/gateway.ts";
import { registryKeysSecretName, systemNamespace } from "../../../src/config/names.ts";
import { freePort } from "../../../src/dev/distribution.ts";
import { type RealApiServer, signal } from "../cluster/api-server.ts";
import { type Certificates, key, secretObject } from "./harness.ts";

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

/** What the gateway reads of a cluster, but its key Secret. */
export async function prepareCluster(server: RealApiServer, certificates: Certificates): Promise<void> {
  await server.api.create(resources.namespaces, { metadata: { name: systemNamespace } }, { signal });
  await server.api.create(crds, crd, { signal });
  for (const secret of certificates.secrets) await server.api.create(resources.secrets, secret, { signal });
}

export async function createKeySecret(server: RealApiServer): Promise<void> {
  const keys = secretObject(registryKeysSecretName, { "keys.json": JSON.stringify({ generations: [key] }) });
  await server.api.create(resources.secrets, keys, { signal });
}

/** `slipway gateway` as a command, in this process. */
export type GatewayCommand = {
  readonly url: string;
  /** The answer of `/readyz`; "" while nothing listens. */
  readyz(): Promise<string>;
  /** Waits until `/readyz` answers that. */
  untilReadyz(wanted: RegExp): Promise<void>;
  /** @returns the exit code */
  stop(): Promise<number>;
};

export async function startGatewayCommand(order: {
  readonly kubeconfigPath: string;
  readonly distributionUrl: string;
}): Promise<GatewayCommand> {
  const [port, operationsPort] = [await freePort(), await freePort()];
  const stop = new AbortController();
  const stream = new PassThrough().resume();
  const flags = {
    port,
    "operations-port": operationsPort,
    "distribution-url": order.distributionUrl,
    "log-level": "silent",
    kubeconfig: order.kubeconfigPath,
    linger: 0,
  };
  const args = Object.entries(flags).map(([name, value]) => `--${name}=${value}`);
  const running = run({ args, env: {}, stdin: stream, stdout: stream, stderr: stream, stop: stop.signal });
  const readyz = () =>
    fetch(`http://127.0.0.1:${operationsPort}/readyz`).then(
      (answer) => answer.text(),
      () => "",
    );
  return {
    url: `https://127.0.0.1:${port}`,
    readyz,
    async untilReadyz(wanted) {
      while (!wanted.test(await readyz())) await systemClock.sleep(50, signal);
    },
    async stop() {
      stop.abort();
      return await running;
    },
  };
}
