import type { ImageOutcome } from "./decision.ts";
import { decideImage, type ImageContext, type ImageDecision } from "./image.ts";
import { type ImageField, type ImageList, imageFields, type PodReading, placementOf } from "./pod.ts";
import { type PullSecretReading, readPullSecrets } from "./pull-secret.ts";
import { isMadeOf } from "./restore.ts";
import type { PodRules } from "./rules.ts";
import type { Standing } from "./standing.ts";
import type { AdmissionWorld, GateVerdict, LocalRegistryNames } from "./world.ts";

/** What a request does to a pod. Only references that it brings are looked at. */
export type PodChange =
  | { readonly kind: "create" }
  | { readonly kind: "update"; readonly old: PodReading | undefined }
  /** UPDATE of `pods/ephemeralcontainers`. */
  | { readonly kind: "ephemeral"; readonly old: PodReading | undefined };

/** All that was found out about a pod; `mutate` and `explain` both read it, so that they cannot differ. */
export type Inspection = {
  readonly change: PodChange;
  readonly standing: Standing;
  readonly images: readonly InspectedImage[];
  readonly rules: PodRules;
  readonly registry: LocalRegistryNames | undefined;
  readonly secrets: PullSecretReading;
  /** Whether `slipway-pull` is to be appended. */
  readonly addsSecret: boolean;
  readonly wantsSecret: boolean;
  readonly gate: () => GateVerdict;
};

export type InspectedImage = { readonly field: ImageField; readonly decision: ImageDecision };

/** Where an update of a pod may change references. */
export const updatable: readonly ImageList[] = ["initContainers", "containers", "volumes"];

/** Decides about every reference of a pod, then about its pull Secret, which depends on them. */
export function inspectPod(pod: PodReading, change: PodChange, standing: Standing, world: AdmissionWorld): Inspection {
  const secrets = readPullSecrets(pod, world.secret, change.kind === "create");
  const rules = world.rules.forPod(world.namespace.labels, pod.labels);
  const gate = once(() => world.gate(placementOf(pod)));
  const context: ImageContext = { world, rules, frozen: frozenBy(standing), secrets, gate };
  const images = changedFields(pod, change).map(({ field, old }) => ({
    field,
    decision: isPutBack(field, old, { standing, context }) ? putBack(field, old) : decideImage(field.value, context),
  }));
  const wantsSecret = standing.kind !== "none" && change.kind === "create" && wants(images, world);
  const addsSecret = wantsSecret && secrets.canAppend && !secrets.isNamed;
  const { registry } = world;
  return { change, standing, images, rules, registry, secrets, addsSecret, wantsSecret, gate };
}

type ChangedField = { readonly field: ImageField; readonly old: unknown };

function changedFields(pod: PodReading, change: PodChange): ChangedField[] {
  switch (change.kind) {
    case "create":
      return imageFields(pod.spec).map((field) => ({ field, old: undefined }));
    case "update": {
      const before = new Map((change.old === undefined ? [] : imageFields(change.old.spec, updatable)).map(placed));
      return imageFields(pod.spec, updatable)
        .map((field) => ({ field, old: before.get(place(field))?.value }))
        .filter(({ field, old }) => field.value !== old);
    }
    case "ephemeral": {
      const known = new Set(
        (change.old === undefined ? [] : imageFields(change.old.spec, ["ephemeralContainers"])).map(({ name }) => name),
      );
      return imageFields(pod.spec, ["ephemeralContainers"])
        .filter(({ name }) => !known.has(name))
        .map((field) => ({ field, old: undefined }));
    }
  }
}

/** The lists of a pod that exists keep their order and names: a field is the same one at the same place. */
function place({ list, index, name }: ImageField): string {
  return `${list}/${index}/${name ?? ""}`;
}

function placed(field: ImageField): [string, ImageField] {
  return [place(field), field];
}

function frozenBy(standing: Standing): ImageOutcome | undefined {
  if (standing.kind === "credentials-only") return standing.outcome;
  if (standing.kind === "full") return undefined;
  return standing.reason === "not-opted-in" ? "not-opted-in" : "left-alone";
}

/** After opting out nothing is put back. */
function isPutBack(
  field: ImageField,
  old: unknown,
  { standing, context }: { readonly standing: Standing; readonly context: ImageContext },
): boolean {
  const stands = standing.kind === "full" || (standing.kind === "none" && standing.reason === "confined-account");
  return (
    stands &&
    old !== undefined &&
    isMadeOf(field.value, old, { registry: context.world.registry, rules: context.rules })
  );
}

function putBack({ value }: ImageField, old: unknown): ImageDecision {
  return {
    outcome: "put-back",
    original: String(value),
    result: String(old),
    reference: undefined,
    fault: undefined,
    rule: undefined,
    local: undefined,
    present: undefined,
    pastGate: false,
  };
}

/** A reference that was sent to the local registry needs the Secret, whatever the injection of other credentials. */
function wants(images: readonly InspectedImage[], world: AdmissionWorld): boolean {
  const isSentThere = ({ decision }: InspectedImage): boolean =>
    decision.local !== undefined && (decision.outcome === "rewritten" || decision.outcome === "retargeted");
  return (
    images.some(isSentThere) ||
    world.wantsSecret(images.map(({ decision }) => decision.result).filter((image) => image !== ""))
  );
}

function once<T>(ask: () => T): () => T {
  let answer: { readonly value: T } | undefined;
  return () => {
    answer ??= { value: ask() };
    return answer.value;
  };
}
