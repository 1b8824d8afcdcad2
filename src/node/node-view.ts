import type { KubernetesObject } from "../cluster/object.ts";
import type { ContainerRuntime } from "./protocol.ts";

export type NodeTaint = { readonly key: string; readonly value: string; readonly effect: string };

/** What is kept of a Node: enough for the gate, the choice of a mode and the status. */
export type NodeView = {
  readonly name: string;
  readonly uid: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly taints: readonly NodeTaint[];
  readonly unschedulable: boolean;
  /** Milliseconds since the epoch at which condition Ready became True; undefined while it is not. */
  readonly readySinceMs: number | undefined;
  readonly runtime: ContainerRuntime | null;
  /** `status.addresses[].address`: addresses and host names, internal ones first as kubelet lists them. */
  readonly addresses: readonly string[];
};

/**
 * The projection of a Node for a reflector's `project`. Never throws: what cannot be read is left out.
 *
 * @see https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/node-v1/
 */
export function projectNode(node: KubernetesObject): NodeView {
  const spec = record(node.spec);
  const status = record(node.status);
  return {
    name: node.metadata.name,
    uid: node.metadata.uid ?? "",
    labels: node.metadata.labels ?? {},
    taints: list(spec.taints).map(readTaint),
    unschedulable: spec.unschedulable === true,
    readySinceMs: readySince(list(status.conditions)),
    runtime: parseRuntime(record(status.nodeInfo).containerRuntimeVersion),
    addresses: list(status.addresses)
      .map((entry) => text(record(entry).address))
      .filter((address) => address !== ""),
  };
}

/** Reads `containerd://2.1.9`; null for anything else. */
export function parseRuntime(text: unknown): ContainerRuntime | null {
  const [, name, version] = (typeof text === "string" ? /^([a-z0-9-]+):\/\/v?(.+)$/.exec(text) : null) ?? [];
  return name === undefined || version === undefined ? null : { name, version };
}

function readTaint(value: unknown): NodeTaint {
  const taint = record(value);
  return { key: text(taint.key), value: text(taint.value), effect: text(taint.effect) };
}

function readySince(conditions: readonly unknown[]): number | undefined {
  const ready = conditions.map(record).find((condition) => condition.type === "Ready");
  if (ready?.status !== "True") return undefined;
  const since = Date.parse(text(ready.lastTransitionTime));
  return Number.isNaN(since) ? 0 : since;
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}
