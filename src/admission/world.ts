import type { CompiledRules } from "./rules.ts";

/**
 * What admission has to know besides the review itself: facts of one moment, all answered from memory. Built by the
 * composition root from its stores for each request; pure functions here take it as a value.
 */
export type AdmissionWorld = {
  readonly namespace: { readonly name: string; readonly labels: Readonly<Record<string, string>> };
  readonly rules: RuleSet;
  readonly registry: LocalRegistryNames | undefined;
  /** Whether the namespace's pull Secret can be relied on. */
  readonly secret: SecretState;
  /** Whether credentials are wanted in this pod: `Always`, or one that an image of the pod would use (`WhenUsed`). */
  readonly wantsSecret: (images: readonly string[]) => boolean;
  /**
   * Whether the local registry holds it for this namespace's login; undefined: not known (catalogue never read, or away).
   * A digest, where there is one, must itself be known, whatever the tag; without a digest the tag is always told
   * (`latest` where the reference has none).
   */
  readonly present: (repository: string, tag: string | undefined, digest: string | undefined) => boolean | undefined;
  readonly gate: (placement: PodPlacement) => GateVerdict;
  /** Whether this ServiceAccount's pods would be refused with our Secret (`enforce-mountable-secrets`). */
  readonly isConfined: (serviceAccountName: string) => boolean;
};

export type LocalRegistryNames = {
  /** What rewritten references start with: the canonical host, or the loopback address in LoopbackProxy mode. */
  readonly target: string;
  /** Every name of the same registry, `target`, canonical host, aliases and loopback address included. */
  readonly names: readonly string[];
  /** True in LoopbackProxy mode: references that name the registry otherwise are turned into `target`. */
  readonly retarget: boolean;
  /** False until a node access mode has been chosen: nothing is rewritten to `local`. */
  readonly chosen: boolean;
  /**
   * The loopback address, whatever the mode: a pod that was admitted with it keeps it when it is applied again. Absent:
   * `target` in LoopbackProxy mode, else none.
   */
  readonly loopback?: string;
};

export type SecretState =
  | { readonly kind: "ready" }
  /** Nothing to put in it: the name is not added. */
  | { readonly kind: "empty" }
  /** Another's Secret of that name, or it could not be written: credentials cannot be relied on. */
  | {
      readonly kind: "unavailable";
      readonly reason: string;
      /** It only came too late for this pod: the controller writes or repairs it. */
      readonly isPassing?: true;
    };

export type PodPlacement = {
  readonly nodeName: string | undefined;
  readonly nodeSelector: Readonly<Record<string, string>>;
  /** `spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution`, as found. */
  readonly requiredNodeAffinity: unknown;
  readonly tolerations: readonly unknown[];
};

export type GateVerdict =
  | { readonly kind: "open" }
  | { readonly kind: "closed"; readonly node: string; readonly reason: string };

/** The compiled rules of all ImageRewrite objects; rules.ts compiles and evaluates them. */
export type RuleSet = CompiledRules;
