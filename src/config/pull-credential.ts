import type { Condition } from "./condition.ts";
import type { LabelSelector } from "./selector.ts";

export type CredentialSourceSpec = {
  /** A Secret in slipway-system; its shape is told by its type (section 6 of the design). */
  readonly secretRef?: { readonly name: string; readonly key?: string };
  /** A file projected into serve's pod, below the folder that `--credential-files` names; docker config JSON. */
  readonly file?: { readonly path: string };
};

export type PullCredentialSpec = {
  readonly sources: readonly CredentialSourceSpec[];
  readonly namespaceSelector?: LabelSelector;
  readonly injection?: "Always" | "WhenUsed";
};

export type PullCredentialStatus = {
  readonly observedGeneration?: number;
  readonly conditions?: readonly Condition[];
  /** Registry keys covered, sorted. */
  readonly registries?: readonly string[];
  /** Keys that another login of the same key comes before; at most 20. */
  readonly conflicts?: readonly { readonly registry: string; readonly winner: string }[];
  readonly observedRevision?: number;
  readonly namespaces?: {
    readonly synced: number;
    readonly total: number;
    readonly summary: string;
    readonly failing?: readonly { readonly name: string; readonly reason: string }[];
  };
};
