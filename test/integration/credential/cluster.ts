import { setTimeout as delay } from "node:timers/promises";
import { Registry } from "prom-client";
import { systemClock } from "../../../src/clock.ts";
import type { ApiTransport, ClusterApi } from "../../../src/cluster/api.ts";
import { type ClusterTransport, createTransport } from "../../../src/cluster/client.ts";
import { createClusterApi } from "../../../src/cluster/kubernetes-api.ts";
import type { KubernetesObject } from "../../../src/cluster/object.ts";
import { resources } from "../../../src/cluster/resource.ts";
import { startControlPlane } from "../../../src/dev/control-plane.ts";
import type { ControlPlaneProcesses } from "../../../src/dev/control-plane-processes.ts";
import { createManifestApplier, readManifests } from "../../../src/dev/manifests.ts";
import { findControlPlanePrograms } from "../../../src/dev/programs.ts";
import { runToEnd } from "../../../src/dev/run-to-end.ts";
import { createLog } from "../../../src/log.ts";
import { manifestsFolder } from "../manifests/cluster.ts";

/** A real API server, an administrator's view of it, and the means to count what our own code writes. */
export type TestCluster = {
  /** As an administrator. */
  readonly api: ClusterApi;
  readonly transport: ClusterTransport;
  /** Another connection to the same server, as an administrator whose requests are counted. */
  openCounted(): CountedTransport;
  readonly kubeconfigPath: string;
  addUser(name: string, groups: readonly string[]): Promise<string>;
  /** Runs kubectl as an administrator. @returns what it wrote */
  kubectl(args: readonly string[]): Promise<string>;
  readonly processes: ControlPlaneProcesses;
  stop(): Promise<void>;
};

export type CountedTransport = {
  readonly transport: ApiTransport;
  readonly api: ClusterApi;
  /** `PATCH /api/v1/…` of every request that was not a read, in order. */
  readonly writes: string[];
  /** The same of every list: a GET of a collection that is no watch. */
  readonly lists: string[];
};

const log = createLog({ level: "silent" });
const signal = AbortSignal.timeout(900_000);

/** @param options.port of the API server, for one that is to come back there; any free one unless given */
export async function startTestCluster(options: { readonly port?: number } = {}): Promise<TestCluster> {
  const programs = await findControlPlanePrograms({ env: process.env, announce: () => undefined });
  const controlPlane = await startControlPlane({ programs, ...options });
  const open = (kubeconfig: string) =>
    createTransport({ kubeconfig, clock: systemClock, random: Math.random, log, metrics: new Registry() });
  const transport = open(controlPlane.kubeconfigPath);
  const opened = [transport];
  return {
    transport,
    api: createClusterApi(transport),
    kubeconfigPath: controlPlane.kubeconfigPath,
    openCounted() {
      const own = open(controlPlane.kubeconfigPath);
      opened.push(own);
      return countRequests(own);
    },
    addUser: (name, groups) => controlPlane.addUser({ name, groups }),
    kubectl: (args) =>
      runToEnd({ command: programs.kubectl, args: ["--kubeconfig", controlPlane.kubeconfigPath, ...args] }),
    processes: controlPlane.processes,
    async stop() {
      await Promise.all(opened.map((one) => one.close()));
      await controlPlane.stop();
    },
  };
}

/** Our custom resources. */
export async function applyTypes(cluster: TestCluster): Promise<void> {
  await createManifestApplier(cluster).apply(await readManifests(`${manifestsFolder}/crds`), signal);
  for (const resource of [resources.pullCredentials, resources.imageRewrites, resources.localRegistries]) {
    await eventually(`${resource.plural} are served`, () =>
      cluster.api.list(resource, {}, signal).catch(() => undefined),
    );
  }
}

/** The same and the namespace slipway-system. */
export async function installTypes(cluster: TestCluster): Promise<void> {
  await applyTypes(cluster);
  await createNamespace(cluster.api, "slipway-system", { labels: {} });
}

export function countRequests(transport: ApiTransport): CountedTransport {
  const writes: string[] = [];
  const lists: string[] = [];
  const counted: ApiTransport = {
    json(request) {
      if (request.method !== "GET") writes.push(`${request.method} ${request.path}`);
      else if (request.query?.limit !== undefined) lists.push(request.path);
      return transport.json(request);
    },
    stream: (request) => transport.stream(request),
  };
  return { transport: counted, api: createClusterApi(counted), writes, lists };
}

/** For what should be there at once: a machine that is busy with something else may take long. */
export const waitMs = 120_000;

/** Waits until `look` gives something; fails after two minutes. */
export async function eventually<T>(what: string, look: () => Promise<T | undefined> | T | undefined): Promise<T> {
  const endMs = performance.now() + waitMs;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (performance.now() > endMs) throw new Error(`did not happen in ${waitMs} ms: ${what}`);
    await delay(20);
  }
}

export async function createNamespace(
  api: ClusterApi,
  name: string,
  metadata: Partial<KubernetesObject["metadata"]> = {},
): Promise<KubernetesObject> {
  const object: KubernetesObject = {
    apiVersion: "v1",
    kind: "Namespace",
    metadata: { labels: { "slipway.dev/inject": "enabled" }, ...metadata, name },
  };
  return api.create(resources.namespaces, object, { signal });
}

/** Removes a namespace for good: no controller finalizes it here. */
export async function destroyNamespace(cluster: TestCluster, name: string): Promise<void> {
  await cluster.api.delete(resources.namespaces, { name }, { signal });
  for (const { metadata } of await cluster.api.list(resources.secrets, { namespace: name }, signal)) {
    await cluster.api.delete(resources.secrets, { namespace: name, name: metadata.name }, { signal });
  }
  const current = await cluster.api.get(resources.namespaces, { name }, signal);
  await cluster.transport.json({
    method: "PUT",
    path: `/api/v1/namespaces/${name}/finalize`,
    body: { ...current, spec: { finalizers: [] } },
    signal,
  });
}

export async function findSecret(
  api: ClusterApi,
  namespace: string,
  name = "slipway-pull",
): Promise<KubernetesObject | undefined> {
  const found = await api.list(resources.secrets, { namespace, fieldSelector: `metadata.name=${name}` }, signal);
  return found[0];
}

/** Registry key → password of a Secret of type dockerconfigjson. */
export function passwordsOf(secret: KubernetesObject | undefined): Record<string, string> {
  const data = (secret?.data ?? {}) as Record<string, string>;
  const text = Buffer.from(data[".dockerconfigjson"] ?? "e30=", "base64").toString("utf8");
  const { auths = {} } = JSON.parse(text) as { auths?: Record<string, { password: string }> };
  return Object.fromEntries(Object.entries(auths).map(([key, { password }]) => [key, password]));
}
