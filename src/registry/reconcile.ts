import type { Clock } from "../clock.ts";
import type { ClusterApi } from "../cluster/api.ts";
import type { EventRecorder } from "../cluster/event.ts";
import type { KubernetesObject } from "../cluster/object.ts";
import type { WorkOutcome } from "../cluster/queue.ts";
import { apiVersionOf, resources } from "../cluster/resource.ts";
import type { Condition } from "../config/condition.ts";
import { validateLocalRegistry } from "../config/custom-resource.ts";
import type { LocalRegistrySpec } from "../config/local-registry.ts";
import { hostingConfigMapName, registryProvidedCertificateSecretName, systemNamespace } from "../config/names.ts";
import { registryNames } from "../config/registry-names.ts";
import type { Log } from "../log.ts";
import type { NamespaceSelection } from "../namespace/selection.ts";
import type { NodesStatus } from "../node/node-status.ts";
import { readBundle } from "../tls/certificate.ts";
import type { RegistryClient } from "./client.ts";
import { decideExternal } from "./external.ts";
import type { Finding } from "./finding.ts";
import { decideHosting } from "./hosting.ts";
import { hostingDocument, isOurDocument, registryEndpoints } from "./hosting-document.ts";
import type { ObjectWriter } from "./object-writer.ts";
import { readDeployment, readObject, readRollout, readSecrets, readStorage } from "./observe.ts";
import { decideProvidedCertificate } from "./provided-certificate.ts";
import { finalizer, type Removal } from "./removal.ts";
import { decideSecrets } from "./secrets.ts";
import {
  type CatalogueReport,
  type ConditionFact,
  decideStatus,
  type RolloutReport,
  type StatusDecision,
  type WebhookReport,
} from "./status.ts";
import { checkStorage, recallStorage, type StorageCheck } from "./storage-check.ts";

export type LocalRegistryReconcilerNeeds = {
  readonly api: ClusterApi;
  readonly writer: ObjectWriter;
  readonly removal: Removal;
  readonly status: {
    write(
      resource: typeof resources.localRegistries,
      observed: KubernetesObject,
      desired: { readonly conditions: readonly ConditionFact[]; readonly fields: Readonly<Record<string, unknown>> },
      signal: AbortSignal,
    ): Promise<boolean>;
  };
  readonly events: EventRecorder;
  /** Where Slipway's own objects live; slipway-system unless given. */
  readonly namespace?: string;
  /** Our own image, and CNCF Distribution's. */
  readonly images: { readonly slipway: string; readonly registry: string };
  /** As serve has it; the gateway follows. */
  readonly selection: NamespaceSelection;
  /** PEM bundle by which Distribution trusts tokens; undefined while it does not exist. */
  readonly tokenAuthority: () => string | undefined;
  /** Whether the gateway's certificate has been issued. */
  readonly hasCertificate: () => boolean;
  /** PEM of the CAs by which clients trust the registry; null where the system's trust is enough. */
  readonly clientTrust: (spec: LocalRegistrySpec) => string | null;
  /** With the admin's login, at the gateway; undefined while there is no login. */
  readonly client: () => Pick<RegistryClient, "tryUpload"> | undefined;
  readonly catalogue: () => CatalogueReport;
  readonly nodes: () => NodesStatus;
  /** What the registry's volume holds, as its gateway tells; undefined while unknown. */
  readonly bytesUsed: () => number | undefined;
  /** An address of a node, for the NodePort's endpoint. */
  readonly nodeAddress: () => string | undefined;
  /** A dry-run Pod through the webhook, see leader/webhook-check.ts. */
  readonly checkWebhook: (signal: AbortSignal) => Promise<WebhookReport>;
  readonly randomBytes: (size: number) => Buffer;
  readonly clock: Clock;
  readonly log: Log;
};

export type LocalRegistryReconciler = {
  /**
   * Brings the cluster in line with LocalRegistry `default` once; the work of a queue with one key, on the leader.
   *
   * @returns when to look again: soon while something is on its way, else for the periodic checks
   */
  reconcile(name: string, signal: AbortSignal): Promise<WorkOutcome>;
  /**
   * Whether every running Distribution has this token CA (fingerprint: SHA-256, hex) in the bundle that it read at its
   * start. An external one is not ours to restart: true.
   */
  trustsToken(fingerprint: string): boolean;
};

const settledMs = 60_000;
const unsettledMs = 1_000;
/** After so many looks with the same outcome it is no matter of seconds any more; whatever changes is a look at once. */
const impatientLooks = 15;
const stuckMs = 10_000;
/** A write is tried anew this often; after a failure at every look. */
const storageCheckMs = 600_000;

/** `of`: the storage, and the pods that have it; undefined while there may be pods with another one. */
type Tried = { readonly check: StorageCheck; readonly atMs: number; readonly of: string | undefined };
type ExternalRegistry = NonNullable<LocalRegistrySpec["external"]>;
type Hosted = { readonly findings: readonly Finding[]; readonly rollout: RolloutReport | undefined };

export function createLocalRegistryReconciler(needs: LocalRegistryReconcilerNeeds): LocalRegistryReconciler {
  const { api, writer, events, clock, log, namespace = systemNamespace } = needs;
  let storage: Tried | undefined;
  let outcome = { reason: "", looks: 0 };
  /** Of the pods that run, all of the newest template; undefined while that is not known. */
  let tokenBundle: string | "external" | undefined;

  /** @returns findings about Secrets; missing ones are made */
  async function ensureSecrets(signal: AbortSignal): Promise<readonly Finding[]> {
    const decision = decideSecrets(await readSecrets(api, namespace, signal), namespace, needs.randomBytes);
    for (const secret of decision.create) {
      const created = await writer.create(resources.secrets, secret, signal);
      log.info({ secret: secret.metadata.name, created }, "registry Secret");
    }
    return decision.findings;
  }

  /** Copies the user's own certificate to where the gateway reads it. */
  async function provideCertificate(spec: LocalRegistrySpec, signal: AbortSignal): Promise<readonly Finding[]> {
    const name = spec.certificate?.secretName;
    const secret =
      name === undefined ? undefined : await readObject(api, resources.secrets, { namespace, name }, signal);
    const { copy, findings } = decideProvidedCertificate(spec, secret, { namespace, nowMs: clock.nowMs() });
    if (copy.kind === "remove") {
      await writer.remove(resources.secrets, { namespace, name: registryProvidedCertificateSecretName }, signal);
    }
    if (copy.kind !== "apply") return findings;
    return [...findings, ...(await writer.apply([{ resource: resources.secrets, object: copy.secret }], signal))];
  }

  async function host(spec: LocalRegistrySpec, signal: AbortSignal): Promise<Hosted> {
    if (tokenBundle === "external") tokenBundle = undefined;
    const secretFindings = await ensureSecrets(signal);
    const { http } = await readSecrets(api, namespace, signal);
    const facts = await readStorage({ api, namespace, http }, spec, signal);
    const { images, selection } = needs;
    const tokenAuthority = needs.tokenAuthority();
    const deployment = await readDeployment(api, namespace, signal);
    const own = { namespace, images, selection, deployment, hasCertificate: needs.hasCertificate() };
    const decision = decideHosting(spec, { ...facts, ...own, tokenAuthority });
    const refused = await writer.apply(decision.objects, signal);
    const certificate = await provideCertificate(spec, signal);
    // While something blocks, what runs already stays: its objects are not superfluous, only undecided.
    if (!decision.findings.some((finding) => finding.blocks)) await writer.prune(decision.objects, signal);
    const rollout = await readRollout(api, namespace, signal);
    if (rollout?.isCurrent === true && rollout.available > 0) tokenBundle = tokenAuthority;
    return { findings: [...decision.findings, ...refused, ...secretFindings, ...certificate], rollout };
  }

  /** Where a gateway of ours stands behind the URL, logins are derived and handed out as when hosting. */
  async function hostNothing(external: ExternalRegistry, signal: AbortSignal): Promise<Hosted> {
    await writer.prune([], signal);
    await provideCertificate({}, signal);
    tokenBundle = "external";
    const own = external.credentialSecretRef === undefined ? await ensureSecrets(signal) : [];
    const read = async (name: string | undefined) =>
      name === undefined ? undefined : readObject(api, resources.secrets, { namespace, name }, signal);
    const found = { login: await read(external.credentialSecretRef?.name), ca: await read(external.caSecretRef?.name) };
    return { findings: [...own, ...decideExternal(external, found, namespace)], rollout: undefined };
  }

  /** Tries a write when the last one is old, failed, or was before a change of the pods was complete. */
  async function tryStorage(
    registry: KubernetesObject,
    { spec, rollout }: { readonly spec: LocalRegistrySpec; readonly rollout: RolloutReport | undefined },
    signal: AbortSignal,
  ): Promise<StorageCheck | undefined> {
    const client = needs.client();
    const isUp = spec.external !== undefined || (rollout?.available ?? 0) > 0;
    const cannotTry = client === undefined || !isUp || spec.external?.credentialSecretRef !== undefined;
    if (spec.maintenance?.readOnly === true) return storage?.check ?? recallStorage(conditionsOf(registry));
    if (cannotTry) return storage?.check;
    const isWhole = spec.external !== undefined || rollout?.isCurrent === true;
    const of = isWhole ? JSON.stringify([spec.storage, spec.external, rollout?.generation]) : undefined;
    const isFresh = storage?.check.kind === "writable" && clock.monotonicMs() - storage.atMs < storageCheckMs;
    if (isFresh && of !== undefined && storage?.of === of) return storage.check;
    storage = { check: await checkStorage(client, signal), atMs: clock.monotonicMs(), of };
    return storage.check;
  }

  async function publish(document: KubernetesObject, signal: AbortSignal): Promise<readonly Finding[]> {
    const address = { namespace: "kube-public", name: hostingConfigMapName };
    if (!isOurDocument(await readObject(api, resources.configMaps, address, signal))) {
      const message = `ConfigMap kube-public/${hostingConfigMapName} exists without our label and stays; delete it if tools are to find this registry`;
      return [{ reason: "ForeignHostingDocument", message, blocks: false }];
    }
    // Nothing depends on it: a policy that refuses it is told, and the rest goes on.
    const [refused] = await writer.apply([{ resource: resources.configMaps, object: document }], signal);
    return refused === undefined ? [] : [{ ...refused, blocks: false }];
  }

  async function reconcileValid(
    registry: KubernetesObject,
    spec: LocalRegistrySpec,
    signal: AbortSignal,
  ): Promise<WorkOutcome> {
    const hosted = spec.external === undefined ? await host(spec, signal) : await hostNothing(spec.external, signal);
    const nodes = needs.nodes();
    const endpoints = registryEndpoints(spec, {
      names: registryNames(spec),
      mode: nodes.nodes.mode ?? null,
      nodeAddress: needs.nodeAddress(),
    });
    const published = await publish(hostingDocument(endpoints, needs.clientTrust(spec)), signal);
    const status = decideStatus({
      spec,
      findings: [...hosted.findings, ...published],
      rollout: hosted.rollout,
      storage: await tryStorage(registry, { spec, rollout: hosted.rollout }, signal),
      catalogue: needs.catalogue(),
      nodes,
      webhook: await needs.checkWebhook(signal),
      endpoints,
      bytesUsed: needs.bytesUsed(),
    });
    return report(registry, { ...status, isMoving: hosted.rollout?.isCurrent === false }, signal);
  }

  async function report(
    registry: KubernetesObject,
    { isMoving, ...status }: StatusDecision & { readonly isMoving: boolean },
    signal: AbortSignal,
  ): Promise<WorkOutcome> {
    const changed = await needs.status.write(resources.localRegistries, registry, status, signal);
    const ready = status.conditions.find((condition) => condition.type === "Ready");
    if (changed && ready !== undefined && hasChanged(registry, ready)) {
      events.record({
        regarding: regarding(registry),
        type: ready.status === "True" ? "Normal" : "Warning",
        reason: ready.reason,
        action: "Reconcile",
        note: ready.message,
      });
    }
    if (ready?.status === "True" && !isMoving) return { kind: "again", afterMs: settledMs };
    const reason = ready?.reason ?? "";
    outcome = { reason, looks: outcome.reason === reason ? outcome.looks + 1 : 1 };
    return { kind: "again", afterMs: outcome.looks < impatientLooks ? unsettledMs : stuckMs };
  }

  return {
    trustsToken(fingerprint) {
      if (tokenBundle === "external") return true;
      return readBundle(tokenBundle ?? "").some((facts) => facts.fingerprint === fingerprint);
    },
    async reconcile(name, signal) {
      const registry = await readObject(api, resources.localRegistries, { name }, signal);
      if (registry === undefined) return { kind: "done" };
      if (registry.metadata.deletionTimestamp !== undefined) return needs.removal.proceed(registry, signal);
      if (registry.metadata.finalizers?.includes(finalizer) !== true) {
        await needs.removal.arm(registry, signal);
      }
      const validated = validateLocalRegistry(registry);
      if (validated.kind === "valid") return reconcileValid(registry, validated.spec, signal);
      const message = `${validated.problem}; what is hosted already stays as it is`;
      const condition: ConditionFact = { type: "Ready", status: "False", reason: "Invalid", message };
      return report(registry, { conditions: [condition], fields: {}, isMoving: false }, signal);
    },
  };
}

function conditionsOf({ status }: KubernetesObject): readonly Condition[] {
  return (status as { readonly conditions?: readonly Condition[] } | undefined)?.conditions ?? [];
}

function hasChanged(registry: KubernetesObject, ready: ConditionFact): boolean {
  const before = conditionsOf(registry).find((condition) => condition.type === "Ready");
  return before?.status !== ready.status || before.reason !== ready.reason;
}

function regarding(registry: KubernetesObject) {
  return {
    apiVersion: apiVersionOf(resources.localRegistries),
    kind: "LocalRegistry",
    name: registry.metadata.name,
    uid: registry.metadata.uid,
  };
}
