import type { Condition } from "./condition.ts";
import type { LabelSelector } from "./selector.ts";

export type RewriteMatch = {
  /** A registry host, `*.suffix`, or `*` for all; absent means all. */
  readonly registry?: string;
  /** A glob over the path: `*` one segment (or a part of one), `**` many; absent means all. */
  readonly repository?: string;
};

export type RewriteRule = {
  readonly match?: RewriteMatch;
  readonly exclude?: readonly RewriteMatch[];
  /** `local`, or `host[:port][/prefix]` of another registry. */
  readonly target: string;
  /** For a target other than `local`: keep the source host in the path (default true). */
  readonly keepHost?: boolean;
};

export type ImageRewriteSpec = {
  readonly rules: readonly RewriteRule[];
  readonly when?: "IfPresent" | "Always";
  readonly namespaceSelector?: LabelSelector;
  readonly podSelector?: LabelSelector;
};

export type ImageRewriteStatus = {
  readonly observedGeneration?: number;
  readonly conditions?: readonly Condition[];
  /** The place of this object in the order of evaluation, from 1. */
  readonly order?: number;
  readonly rules?: { readonly active: number; readonly total: number; readonly summary: string };
  readonly inactive?: readonly { readonly rule: number; readonly reason: string }[];
};
