import { randomBytes } from "node:crypto";
import type { Component } from "../cluster/component.ts";
import { createQueue } from "../cluster/queue.ts";
import { runUntil } from "../cluster/run-until.ts";
import { registryCertificateSecretName, registryKeysSecretName, tokenAuthoritySecretName } from "../config/names.ts";
import { createAccessChoice } from "../leader/access-choice.ts";
import { createCredentialFinalizer } from "../leader/credential-finalizer.ts";
import { createDefaults, tryDefaults } from "../leader/defaults.ts";
import { createNodesRelease } from "../leader/nodes-release.ts";
import { createObjectStatuses } from "../leader/object-statuses.ts";
import { createStatusWriter } from "../leader/status.ts";
import { createStrandedReport } from "../leader/stranded-report.ts";
import { checkWebhook } from "../leader/webhook-check.ts";
import { createNamespaceController } from "../namespace/controller.ts";
import { createSyncProgress } from "../namespace/progress.ts";
import { createNamespaceSync } from "../namespace/sync.ts";
import { nodesStatus } from "../node/node-status.ts";
import { createTaintRemoval } from "../node/taint-removal.ts";
import { verdictTrusts } from "../node/verdict.ts";
import { hostedCertificateNames } from "../registry/certificate-names.ts";
import { addressOfNodes } from "../registry/hosting-document.ts";
import { createObjectWriter } from "../registry/object-writer.ts";
import { createLocalRegistryReconciler } from "../registry/reconcile.ts";
import { createRemoval } from "../registry/removal.ts";
import type { CertificateNames } from "../tls/certificate.ts";
import { createCertificateKeeper } from "../tls/keeper.ts";
import { serveCertificateNames } from "../tls/names.ts";
import { createBundlePublisher } from "../tls/publish.ts";
import { secretValue } from "../tls/secret-data.ts";
import { createServeCompiler } from "./serve-compiler.ts";
import { createServeContract } from "./serve-contract.ts";
import { createGenerationWatch, createServeKeyRotation } from "./serve-key-rotation.ts";
import type { ServeReplica } from "./serve-replica.ts";

export type LeaderOptions = {
  /** Create LocalRegistry and ImageRewrite `default` at the first start. */
  readonly defaults: boolean;
  /** Our own image, and CNCF Distribution's, for the registry's pod. */
  readonly images: { readonly slipway: string; readonly registry: string };
  /** The folder below which PullCredential sources of kind `file` lie. */
  readonly credentialFiles: string;
  /** Take the taint `slipway.dev/not-ready` off nodes that pass; needs the right to patch nodes. */
  readonly nodeTaint?: boolean;
  /**
   * How long the registry accepts the previous key generation after every namespace has the new one: a mounted Secret
   * follows within kubelet's sync period and cache. 90 s unless given.
   */
  readonly keyGraceMs?: number;
  /** Further names of serve's own certificate. */
  readonly serveNames: readonly string[];
};

const reconcileKey = "default";
const hostingWaitsFor = [tokenAuthoritySecretName, registryCertificateSecretName];
const stepTimeoutMs = 30_000;

/**
 * The elected half of serve. Everything is put together once; `lead` runs it for as long as this replica holds the
 * lease.
 */
export function createServeLeader(
  replica: ServeReplica,
  options: LeaderOptions,
): { readonly lead: (signal: AbortSignal) => Promise<void> } {
  const { stores, api, namespace, clock, random, log, metrics, events, book } = replica;
  const timing = { clock, random };
  const shared = { ...timing, log, metrics };
  const status = createStatusWriter({ api, clock });

  const { compiler, files, followFiles } = createServeCompiler(replica, options);

  const progress = createSyncProgress({
    namespaces: stores.namespaces,
    compiled: replica.compiled,
    selection: replica.selection,
    metrics,
  });
  const sync = createNamespaceSync({
    namespaces: stores.namespaces,
    pullSecrets: stores.pullSecrets,
    pushSecrets: stores.pushSecrets,
    compiled: replica.compiled,
    selection: replica.selection,
    writer: replica.writer,
    progress,
    events,
    log,
    metrics,
  });
  const namespaces = createNamespaceController({
    sync,
    namespaces: stores.namespaces,
    pullSecrets: stores.pullSecrets,
    pushSecrets: stores.pushSecrets,
    onCompiled: replica.view.onChange,
    onRecovered: stores.namespaces.onRecovered,
    recent: replica.ensure.recent,
    queue: (work) => createQueue({ name: "namespaces", work, workers: 20, ...shared }),
    ...timing,
  });
  const finalizer = createCredentialFinalizer({
    pullCredentials: stores.pullCredentials,
    compiled: replica.compiled,
    progress,
    api,
    ...shared,
  });
  const stranded = createStrandedReport({
    namespaces: stores.namespaces,
    selection: replica.selection,
    api,
    events,
    ...shared,
  });
  const statuses = createObjectStatuses({
    pullCredentials: stores.pullCredentials,
    imageRewrites: stores.imageRewrites,
    latest: compiler.latest,
    progress,
    status,
    ...shared,
  });

  const keeper = createCertificateKeeper({
    api,
    secrets: stores.secrets,
    namespace,
    wanted: () => ({
      serve: serveCertificateNames(options.serveNames),
      registry: wantedRegistryNames(replica),
    }),
    publisher: createBundlePublisher({ api }),
    acknowledged: (fingerprint) => everyNodeTrusts(replica, fingerprint),
    tokenAuthorityDeployed: (fingerprint) => registry.trustsToken(fingerprint),
    ...shared,
  });

  const registryObjects = createObjectWriter({ api, namespace });
  const registry = createLocalRegistryReconciler({
    api,
    writer: registryObjects,
    removal: createRemoval({
      api,
      writer: registryObjects,
      events,
      log,
      namespace,
      releaseNodes: createNodesRelease({ world: replica.nodesNow, clock }),
    }),
    status,
    events,
    namespace,
    images: options.images,
    selection: replica.selection,
    hasCertificate: () => secretValue(replica.secret(registryCertificateSecretName), "tls.crt") !== "",
    tokenAuthority: () => secretValue(replica.secret(tokenAuthoritySecretName), "bundle.crt") || undefined,
    clientTrust: replica.clientTrust,
    client: replica.registryClient,
    catalogue: () => {
      const fault = replica.feed.lastFault();
      return { state: replica.catalogue.state(), fault: fault instanceof Error ? fault.message : undefined };
    },
    nodes: () => nodesStatus(replica.plan(), replica.nodesNow()),
    bytesUsed: replica.feed.bytesUsed,
    nodeAddress: () => addressOfNodes(stores.nodes.list()),
    checkWebhook: (signal) => checkWebhook(api, `${replica.compiled()?.registry?.host ?? "slipway"}/probe`, signal),
    randomBytes,
    clock,
    log,
  });
  const registryQueue = createQueue({
    name: "local-registry",
    workers: 1,
    work: async (name, signal) => registry.reconcile(name, signal),
    ...shared,
  });

  const access = createAccessChoice({
    spec: replica.registrySpec,
    world: replica.nodesNow,
    book,
    onMode: (mode) => {
      log.info({ mode }, "node access");
      compiler.touch();
      replica.renewOrders();
      registryQueue.add(reconcileKey);
    },
    clock,
  });

  const keyRotation = createServeKeyRotation(replica, { progress, ...options });

  // What changes, and whom it concerns. Handlers only note; nothing runs unless this replica leads.
  stores.localRegistries.onChange(() => {
    compiler.touch();
    access.touch();
    keeper.look();
    registryQueue.add(reconcileKey);
  });
  stores.namespaces.onChange(stranded.touch);
  stores.pullCredentials.onChange((name) => {
    finalizer.touch(name);
    followFiles();
    compiler.touch();
    statuses.touch();
  });
  stores.imageRewrites.onChange(() => {
    compiler.touch();
    statuses.touch();
  });
  stores.secrets.onChange((key) => {
    compiler.touch();
    if (key.endsWith(`/${registryKeysSecretName}`)) keyRotation.touch();
    const { certificate, storage } = replica.registrySpec() ?? {};
    const named = [certificate?.secretName ?? [], storage?.s3?.credentialsSecretRef.name ?? []].flat();
    const isAwaited = [...hostingWaitsFor, ...named].some((name) => key.endsWith(`/${name}`));
    if (isAwaited) registryQueue.add(reconcileKey);
  });
  stores.services.onChange(keeper.look);
  stores.webhookConfigurations.onChange(keeper.look);
  stores.verdicts.onChange(keeper.look);
  stores.endpointSlices.onChange(() => registryQueue.add(reconcileKey));
  for (const store of [stores.nodes, stores.verdicts]) store.onChange(access.touch);
  stores.verdicts.onChange(() => registryQueue.add(reconcileKey));
  files.onChange(compiler.touch);
  compiler.onCompiled(statuses.touch);
  progress.onChange(statuses.touchProgress);

  const components: readonly Component[] = [
    files,
    compiler,
    keeper,
    namespaces,
    statuses,
    finalizer,
    keyRotation,
    stranded,
    registryQueue,
    access,
    createServeContract(replica),
    ...(options.nodeTaint === true ? [createNodeTaint(replica)] : []),
    createGenerationWatch(replica, compiler.touch),
  ];

  const defaults = createDefaults({ api, namespace, ...shared });

  return {
    async lead(signal) {
      log.info("leading");
      await waitForStores(replica, signal);
      if (signal.aborted) return;
      const hasDefaults = !options.defaults || (await tryDefaults({ api, namespace, log }, signal));
      followFiles();
      registryQueue.add(reconcileKey);
      await runUntil(signal, hasDefaults ? components : [...components, defaults]);
    },
  };
}

function createNodeTaint(replica: ServeReplica): Component {
  const { api, stores, clock, random, log, metrics } = replica;
  /** Without a registry there is nothing to wait for; at the first start it may only not be there yet. */
  const mode = () => {
    const { nowMs, replicaStartMs } = replica.nodesNow();
    if (replica.registrySpec() !== null) return replica.plan().mode;
    return nowMs - replicaStartMs > stepTimeoutMs ? "None" : null;
  };
  const removal = createTaintRemoval({ api, world: replica.nodesNow, mode, clock, random, log, metrics });
  for (const store of [stores.nodes, stores.verdicts, stores.localRegistries]) store.onChange(removal.touch);
  return removal;
}

/** The controllers decide from complete caches only. */
async function waitForStores({ stores, clock }: ServeReplica, signal: AbortSignal): Promise<void> {
  while (stores.unsynced().length > 0 && !signal.aborted) {
    await clock.sleep(20, signal).catch((error: unknown) => {
      if (!signal.aborted) throw error;
    });
  }
}

/** undefined while the Service of a hosted registry has no address yet: its certificate would be made twice. */
function wantedRegistryNames({ registrySpec, stores }: ServeReplica): CertificateNames | undefined {
  const spec = registrySpec();
  const service = stores.services.list()[0]?.spec as { clusterIPs?: readonly string[] } | undefined;
  const clusterIPs = service?.clusterIPs ?? [];
  if (spec === null || (spec.external === undefined && clusterIPs.length === 0)) return undefined;
  const nodeAddresses = stores.nodes.list().flatMap((node) => node.addresses);
  return hostedCertificateNames(spec, { clusterIPs, nodeAddresses });
}

/** Nodes that have not reported at all have no say: the gate keeps pods from relying on them. */
function everyNodeTrusts({ book, stores }: ServeReplica, fingerprint: string): boolean {
  const verdicts = book.verdicts();
  return stores.nodes.list().every((node) => {
    const verdict = verdicts.get(node.name);
    return verdict === undefined || verdictTrusts(verdict, fingerprint);
  });
}
