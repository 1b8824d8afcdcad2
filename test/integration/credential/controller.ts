import { Registry } from "prom-client";
import { systemClock } from "../../../src/clock.ts";
import type { ClusterApi } from "../../../src/cluster/api.ts";
import { createEventRecorder } from "../../../src/cluster/event.ts";
import type { KubernetesObject } from "../../../src/cluster/object.ts";
import { createQueue } from "../../../src/cluster/queue.ts";
import { createReflector, type Reflector } from "../../../src/cluster/reflector.ts";
import { resources } from "../../../src/cluster/resource.ts";
import type { Compiled, CompiledRegistry } from "../../../src/config/compiled.ts";
import type { CredentialSourceSpec, PullCredentialSpec } from "../../../src/config/pull-credential.ts";
import { type CompiledCredentials, compileCredentials } from "../../../src/credential/merge.ts";
import { createLog } from "../../../src/log.ts";
import { createNamespaceController } from "../../../src/namespace/controller.ts";
import {
  type ObservedNamespace,
  type ObservedSecret,
  observeNamespace,
  observeSecret,
} from "../../../src/namespace/observed.ts";
import { createSyncProgress, type SyncProgress } from "../../../src/namespace/progress.ts";
import { createSecretWriter } from "../../../src/namespace/secret-writer.ts";
import { optInSelection } from "../../../src/namespace/selection.ts";
import { createNamespaceSync } from "../../../src/namespace/sync.ts";
import type { CountedTransport } from "./cluster.ts";

const log = createLog({ level: "silent" });

/** What the leader knows: kept apart from a controller, so that it survives that one's restart, as it does for real. */
export type LeaderState = {
  compiled(): Compiled | undefined;
  reports(): CompiledCredentials["reports"];
  /** PullCredentials by name; the compiled state follows, as it does when a source Secret changes. */
  setPullCredentials(sources: Readonly<Record<string, readonly CredentialSourceSpec[]>>): Promise<void>;
  setRegistry(registry: CompiledRegistry | null): Promise<void>;
  /** Reads the source Secrets and compiles, as the leader does at each of their changes. */
  recompile(): Promise<void>;
  onCompiled(handler: () => void): void;
};

export function createLeaderState(api: ClusterApi): LeaderState {
  let compiled: Compiled | undefined;
  let reports: CompiledCredentials["reports"] = [];
  let registry: CompiledRegistry | null = null;
  let specs: Readonly<Record<string, PullCredentialSpec>> = {};
  const handlers: (() => void)[] = [];

  async function recompile(): Promise<void> {
    const list = await api.list(resources.secrets, { namespace: "slipway-system" }, AbortSignal.timeout(600_000));
    const secrets = new Map<string, KubernetesObject>(list.map((secret) => [secret.metadata.name, secret]));
    const result = compileCredentials({
      pullCredentials: Object.entries(specs).map(([name, spec]) => ({ kind: "valid", name, generation: 1, spec })),
      secret: (name) => secrets.get(name),
      file: () => undefined,
      registryNames: registry?.names ?? [],
      previous: compiled,
    });
    reports = result.reports;
    const revision = (compiled?.revision ?? 0) + 1;
    compiled = { revision, registry, credentials: result.credentials, rewrites: [] };
    for (const handler of handlers) handler();
  }

  return {
    compiled: () => compiled,
    reports: () => reports,
    async setPullCredentials(sources) {
      specs = Object.fromEntries(Object.entries(sources).map(([name, list]) => [name, { sources: list }]));
      await recompile();
    },
    async setRegistry(next) {
      registry = next;
      await recompile();
    },
    recompile,
    onCompiled: (handler) => {
      handlers.push(handler);
    },
  };
}

export type RunningController = {
  readonly progress: SyncProgress;
  readonly namespaces: Reflector<ObservedNamespace>;
  readonly pullSecrets: Reflector<ObservedSecret>;
  readonly metrics: Registry;
  stop(): Promise<void>;
};

/** The controller as serve runs it, over real reflectors and a real queue. */
export async function startController(
  cluster: CountedTransport,
  leader: Pick<LeaderState, "compiled" | "onCompiled">,
  options: { readonly resyncMs?: number; readonly push?: boolean } = {},
): Promise<RunningController> {
  const metrics = new Registry();
  const shared = { clock: systemClock, random: Math.random, log, metrics };
  const namespaces = createReflector({
    ...shared,
    transport: cluster.transport,
    resource: resources.namespaces,
    metadataOnly: true,
    project: observeNamespace,
  });
  const watchSecrets = (name: string) =>
    createReflector({
      ...shared,
      transport: cluster.transport,
      resource: resources.secrets,
      fieldSelector: `metadata.name=${name}`,
      metadataOnly: true,
      project: observeSecret,
    });
  const pullSecrets = watchSecrets("slipway-pull");
  const pushSecrets = options.push === true ? watchSecrets("slipway-push") : undefined;
  const events = createEventRecorder({
    ...shared,
    api: cluster.api,
    reportingController: "slipway.dev/serve",
    reportingInstance: "test",
  });
  const { compiled, onCompiled } = leader;
  const progress = createSyncProgress({ namespaces, compiled, selection: optInSelection, metrics });
  const sync = createNamespaceSync({
    namespaces,
    pullSecrets,
    pushSecrets,
    compiled,
    selection: optInSelection,
    writer: createSecretWriter({ api: cluster.api }),
    progress,
    events,
    log,
    metrics,
  });
  const controller = createNamespaceController({
    sync,
    namespaces,
    pullSecrets,
    pushSecrets,
    onCompiled,
    recent: () => [],
    queue: (work) => createQueue({ ...shared, name: "namespaces", work, workers: 20 }),
    ...(options.resyncMs === undefined ? {} : { resyncMs: options.resyncMs }),
    clock: systemClock,
    random: Math.random,
  });
  const stop = new AbortController();
  const reflectors = [namespaces, pullSecrets, ...(pushSecrets === undefined ? [] : [pushSecrets])];
  const running = reflectors.map((reflector) => reflector.run(stop.signal));
  await Promise.all(reflectors.map((reflector) => reflector.whenSynced(AbortSignal.timeout(600_000))));
  running.push(controller.run(stop.signal));
  return {
    progress,
    namespaces,
    pullSecrets,
    metrics,
    async stop() {
      stop.abort();
      await Promise.allSettled(running);
      await events.flush();
    },
  };
}

const encode = (text: string) => Buffer.from(text).toString("base64");

/** Creates or replaces a source Secret of type dockerconfigjson in slipway-system. */
export async function putSource(api: ClusterApi, name: string, content: string): Promise<void> {
  const object: KubernetesObject = {
    metadata: { name, namespace: "slipway-system" },
    type: "kubernetes.io/dockerconfigjson",
    data: { ".dockerconfigjson": encode(content) },
  };
  await api.apply(resources.secrets, object, { force: true, signal: AbortSignal.timeout(600_000) });
}

/** A docker config with one login `u` for each registry. */
export function dockerConfig(passwords: Readonly<Record<string, string>>): string {
  const auths = Object.entries(passwords).map(([key, password]) => [key, { username: "u", password }]);
  return JSON.stringify({ auths: Object.fromEntries(auths) });
}
