import assert from "node:assert/strict";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { systemClock } from "../../../src/clock.ts";
import { ApiError, type ClusterApi } from "../../../src/cluster/api.ts";
import { type ClusterTransport, createTransport } from "../../../src/cluster/client.ts";
import { createClusterApi } from "../../../src/cluster/kubernetes-api.ts";
import { formatMicroTime } from "../../../src/cluster/micro-time.ts";
import type { KubernetesObject } from "../../../src/cluster/object.ts";
import { resources } from "../../../src/cluster/resource.ts";
import { type DevFile, startDevEnvironment } from "../../../src/command/dev-environment.ts";
import { leaseName, systemNamespace } from "../../../src/config/names.ts";
import { findControlPlanePrograms } from "../../../src/dev/programs.ts";
import { createLog } from "../../../src/log.ts";
import { openArchive } from "../../../src/registry/archive/open.ts";
import { openContent } from "../../../src/registry/archive/open-content.ts";
import { createRegistryClient, type RegistryClient } from "../../../src/registry/client.ts";
import { pushImage } from "../../../src/registry/push.ts";
import { writeOciLayout } from "../../fake/image-folder.ts";
import { type KubectlResult, runKubectl } from "./kubectl.ts";
import { sumOfSeries } from "./metric.ts";

/** Everything of Slipway on a real API server and a real Distribution, and hands to act on it as a user. */
export type AdmissionEnvironment = {
  readonly file: DevFile;
  /** `host:port` that references of the local registry begin with. */
  readonly host: string;
  /** As an administrator. */
  readonly api: ClusterApi;
  readonly transport: ClusterTransport;
  readonly registry: RegistryClient;
  readonly signal: AbortSignal;
  kubectl(args: readonly string[], input?: unknown): Promise<KubectlResult>;
  /**
   * A namespace with its default account; opted in unless the labels say otherwise, and then with a pull Secret that
   * serve knows of: what is asked of it next does not hang on the inline ensure.
   */
  namespace(name: string, labels?: Readonly<Record<string, string>>): Promise<void>;
  /** Pushes an image to `<repository>:<tag>` and waits until serve knows it. @returns its digest */
  push(repository: string, tag: string): Promise<string>;
  /** Deletes the manifest and waits until serve knows that it is gone. */
  removeImage(repository: string, digest: string, tag: string): Promise<void>;
  /** Calls of one webhook entry, by the API server's own count. */
  webhookCalls(name: string, operation: "CREATE" | "UPDATE"): Promise<number>;
  /** Errors of match conditions by the API server's count, and of admission by serve's own. */
  faults(): Promise<{ readonly matchConditions: number; readonly internal: number }>;
  /**
   * Does something while serve has no leader: the lease is held by the test, so that whatever happens to pull Secrets
   * is done by admission. @throws when serve led again before the end
   */
  withoutLeader(work: () => Promise<void>): Promise<void>;
  stop(): Promise<void>;
};

export const optedIn = { "slipway.dev/inject": "enabled" };

/** What a namespace is asked for to see whether it is served. */
const probeImage = "docker.io/library/probe:1";

/** @throws SlipwayError as startDevEnvironment */
export async function startAdmissionEnvironment(): Promise<AdmissionEnvironment> {
  const log = createLog({ level: "silent" });
  // What admission does is told here, not how fast it is on a busy machine; the API server waits for it for 5 s.
  const needs = { state: undefined, env: process.env, announce: () => {}, log };
  const environment = await startDevEnvironment({ ...needs, ensureLimitMs: 4_500 });
  const { file } = environment;
  const { kubectl } = await findControlPlanePrograms({ env: process.env, announce: () => {} });
  const shared = { clock: systemClock, random: Math.random, log };
  const transport = createTransport({ kubeconfig: file.kubeconfig, ...shared });
  const api = createClusterApi(transport);
  const stop = new AbortController();
  const signal = AbortSignal.any([stop.signal, AbortSignal.timeout(600_000)]);
  const [ca, password] = await Promise.all([
    readFile(file.registry.caFile, "utf8"),
    readFile(file.registry.passwordFile, "utf8"),
  ]);
  const login = { username: file.registry.username, password };
  const registry = createRegistryClient({ origin: file.registry.url, ca: () => ca, login: () => login, ...shared });
  const host = new URL(file.registry.url).host;
  const apiMetrics = async () => {
    const path = "/metrics";
    const answer = await transport.stream({ method: "GET", path, accept: "text/plain", signal });
    return (await answer.toArray()).join("");
  };
  const serveMetrics = async () => (await fetch(`${file.operations.url}/metrics`)).text();

  const namespace = async (name: string, labels: Readonly<Record<string, string>> = optedIn): Promise<void> => {
    await api.create(resources.namespaces, { metadata: { name, labels } }, { signal });
    await eventually(`account default of ${name}`, () => exists(api, name, signal));
    const isRewritten = labels["slipway.dev/inject"] === "enabled" && labels["slipway.dev/rewrite"] !== "disabled";
    if (isRewritten) await eventually(`serve to know the pull Secret of ${name}`, () => isServed(name));
  };
  const isServed = async (name: string) => (await preview(name, probeImage)) === `${host}/${probeImage}`;
  /** What a pod of the namespace would get, told by a dry run. */
  const preview = async (name: string, image: string): Promise<string> => {
    const pod = { metadata: { generateName: "probe-", namespace: name }, spec: { containers: [{ name: "a", image }] } };
    const created = await api.create(resources.pods, pod as never, { dryRun: true, signal });
    return (created.spec as { containers: readonly { image: string }[] }).containers[0]?.image ?? "";
  };

  const push = async (repository: string, tag: string): Promise<string> => {
    const folder = await writeOciLayout({});
    const archive = await openArchive(await openContent(folder.path));
    const [image] = archive.images;
    if (image === undefined) throw new Error(`no image in ${folder.path}`);
    const progress = { begin() {}, sent() {}, done() {} };
    await pushImage({ client: registry, progress, signal }, image, { repository, tag });
    await archive.close();
    await rm(join(folder.path), { recursive: true });
    return folder.digest;
  };

  await push("docker.io/library/probe", "1");
  await namespace("probe");

  return {
    file,
    host,
    api,
    transport,
    registry,
    signal,
    kubectl: (args, input) => runKubectl(kubectl, ["--kubeconfig", file.kubeconfig, ...args], input),
    namespace,
    async push(repository, tag) {
      const digest = await push(repository, tag);
      const source = `${repository}:${tag}`;
      await eventually(
        `${source} in the catalogue`,
        async () => (await preview("probe", source)) === `${host}/${source}`,
      );
      return digest;
    },
    async removeImage(repository, digest, tag) {
      await registry.deleteManifest(repository, digest, signal);
      const source = `${repository}:${tag}`;
      await eventually(`${source} out of the catalogue`, async () => (await preview("probe", source)) === source);
    },
    async webhookCalls(name, operation) {
      const series = "apiserver_admission_webhook_admission_duration_seconds_count";
      return sumOfSeries(await apiMetrics(), series, { name, operation });
    },
    async faults() {
      return {
        matchConditions: sumOfSeries(
          await apiMetrics(),
          "apiserver_admission_match_condition_evaluation_errors_total",
          {},
        ),
        internal: sumOfSeries(await serveMetrics(), "slipway_admission_internal_errors_total", {}),
      };
    },
    async withoutLeader(work) {
      const lease = { namespace: systemNamespace, name: leaseName };
      const hold = (holderIdentity: string) => {
        const renewTime = formatMicroTime(systemClock.nowMs());
        return api.merge(resources.leases, lease, { spec: { holderIdentity, renewTime } }, signal);
      };
      const isLed = async () => sumOfSeries(await serveMetrics(), "slipway_lease_is_leader", {}) > 0;
      const over = new AbortController();
      await hold("a test");
      const renewing = (async () => {
        while (!over.signal.aborted) {
          await systemClock.sleep(2_000, over.signal).catch(() => undefined);
          await hold(over.signal.aborted ? "" : "a test");
        }
      })();
      try {
        await eventually("the leader to end", async () => !(await isLed()));
        await work();
        assert.equal(await isLed(), false, "serve led again before the work was done");
      } finally {
        over.abort();
        await renewing;
      }
      await eventually("a leader", isLed);
    },
    async stop() {
      stop.abort();
      registry.close();
      await transport.close();
      await environment.stop();
    },
  };
}

/** Looks again until it is so. @throws when it is not within two minutes, which a busy machine may need */
export async function eventually(what: string, isSo: () => Promise<boolean>): Promise<void> {
  const deadlineMs = systemClock.monotonicMs() + 120_000;
  while (!(await isSo())) {
    if (systemClock.monotonicMs() > deadlineMs) throw new Error(`waited in vain for ${what}`);
    await systemClock.sleep(20, new AbortController().signal);
  }
}

async function exists(api: ClusterApi, namespace: string, signal: AbortSignal): Promise<boolean> {
  return isThere(() => api.get(resources.serviceAccounts, { namespace, name: "default" }, signal));
}

export async function hasSecret(api: ClusterApi, namespace: string, signal: AbortSignal): Promise<boolean> {
  return isThere(() => api.get(resources.secrets, { namespace, name: "slipway-pull" }, signal));
}

async function isThere(read: () => Promise<KubernetesObject>): Promise<boolean> {
  try {
    await read();
    return true;
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return false;
    throw error;
  }
}
