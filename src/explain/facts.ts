import { type PodReading, readPod, serviceAccountOf } from "../admission/pod.ts";
import type { GateVerdict, PodPlacement, SecretState } from "../admission/world.ts";
import { resources } from "../cluster/resource.ts";
import type { Compiled } from "../config/compiled.ts";
import { injectLabel, pullSecretName, webhookConfigurationName } from "../config/names.ts";
import { type LabelSelector, selectorMatches } from "../config/selector.ts";
import { decideEnsure } from "../namespace/decide.ts";
import { desiredPullSecret } from "../namespace/desired.ts";
import { type ObservedNamespace, observeNamespace, observeSecret } from "../namespace/observed.ts";
import { isOptedIn, optInSelection } from "../namespace/selection.ts";
import { findGate } from "./gate.ts";
import type { ObjectSource } from "./object-source.ts";

/** What admission would know about one pod's surroundings, and what of it could not be seen. */
export type ExplainFacts = {
  readonly compiled: Compiled;
  readonly namespace: ObservedNamespace;
  /** Whether the webhook is called for pods of the namespace. */
  readonly optedIn: boolean;
  readonly secret: SecretState;
  readonly account: AccountFacts;
  readonly gate: (placement: PodPlacement) => GateVerdict;
  readonly notes: readonly string[];
};

export type AccountFacts = {
  readonly name: string;
  /** What the API server copies into a pod that names no pull Secrets itself. */
  readonly imagePullSecrets: readonly string[];
  /** The API server would refuse a pod of it with our Secret. */
  readonly isConfined: boolean;
};

/**
 * Reads what surrounds a pod.
 *
 * @param about.namespace the one that the pod is created in; `nowMs`: wall clock, for the age of nodes
 * @throws ApiError where the cluster does not answer; what may not be read becomes a note
 */
export async function gatherFacts(
  source: ObjectSource,
  compiled: Compiled,
  about: { readonly namespace: string; readonly pod: unknown; readonly nowMs: number },
): Promise<ExplainFacts> {
  const notes: string[] = [];
  const namespace = await findNamespace(source, about.namespace, notes);
  const reading = readPod(about.pod);
  return {
    compiled,
    namespace,
    optedIn: await isServed(source, namespace, notes),
    secret: await findSecretState(source, { compiled, namespace }, notes),
    account: await findAccount(source, { namespace: namespace.name, pod: reading }, notes),
    gate: await findGate(source, { mode: compiled.registry?.mode ?? null, nowMs: about.nowMs }, notes),
    notes,
  };
}

async function findNamespace(source: ObjectSource, name: string, notes: string[]): Promise<ObservedNamespace> {
  const found = await source.get(resources.namespaces, { name });
  if (found.kind === "found") return observeNamespace(found.object);
  const why = found.kind === "hidden" ? `cannot be read (${found.reason})` : "is not there";
  notes.push(`Namespace ${name} ${why}: taken as one without labels`);
  return { name, uid: "", labels: {}, annotations: {}, terminating: false };
}

/** By the webhook's own selector where it can be read, else by the label. */
async function isServed(source: ObjectSource, namespace: ObservedNamespace, notes: string[]): Promise<boolean> {
  const found = await source.get(resources.mutatingWebhookConfigurations, { name: webhookConfigurationName });
  if (found.kind === "hidden") {
    notes.push(
      `MutatingWebhookConfiguration ${webhookConfigurationName} cannot be read: the label ${injectLabel} is taken as what opts in`,
    );
  }
  const webhooks = found.kind === "found" ? found.object.webhooks : undefined;
  const [webhook] = (Array.isArray(webhooks) ? webhooks : []) as { namespaceSelector?: LabelSelector }[];
  if (webhook?.namespaceSelector === undefined) return isOptedIn(namespace, optInSelection);
  return selectorMatches(webhook.namespaceSelector, {
    ...namespace.labels,
    "kubernetes.io/metadata.name": namespace.name,
  });
}

async function findSecretState(
  source: ObjectSource,
  { compiled, namespace }: Pick<ExplainFacts, "compiled" | "namespace">,
  notes: string[],
): Promise<SecretState> {
  const desired = desiredPullSecret(compiled, namespace);
  if (desired.kind === "empty") return desired;
  const found = await source.get(resources.secrets, { namespace: namespace.name, name: pullSecretName });
  if (found.kind === "hidden") {
    notes.push(`Secret ${namespace.name}/${pullSecretName} cannot be read (${found.reason}): taken as Slipway's own`);
    return { kind: "ready" };
  }
  const step = decideEnsure(found.kind === "found" ? observeSecret(found.object) : undefined, desired);
  // What is to be written is there when the pod is answered.
  return step.kind === "write" ? { kind: "ready" } : step;
}

async function findAccount(
  source: ObjectSource,
  about: { readonly namespace: string; readonly pod: PodReading | undefined },
  notes: string[],
): Promise<AccountFacts> {
  const name = about.pod === undefined ? "default" : serviceAccountOf(about.pod);
  const found = await source.get(resources.serviceAccounts, { namespace: about.namespace, name });
  if (found.kind === "hidden") {
    notes.push(`ServiceAccount ${about.namespace}/${name} cannot be read (${found.reason}): taken as an ordinary one`);
  }
  if (found.kind !== "found") return { name, imagePullSecrets: [], isConfined: false };
  const { imagePullSecrets, metadata } = found.object;
  const names = secretNames(imagePullSecrets);
  const enforces = metadata.annotations?.["kubernetes.io/enforce-mountable-secrets"] === "true";
  return { name, imagePullSecrets: names, isConfined: enforces && !names.includes(pullSecretName) };
}

/** The names in a list of `{name}`, as `imagePullSecrets` has them. */
export function secretNames(list: unknown): readonly string[] {
  return (Array.isArray(list) ? list : []).flatMap((entry: unknown) => {
    const name = (entry as { name?: unknown } | null)?.name;
    return typeof name === "string" && name !== "" ? [name] : [];
  });
}
