import { listOf, recordOf, textOf } from "../cluster/narrow.ts";
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
  const spec = recordOf(node.spec);
  const status = recordOf(node.status);
  return {
    name: node.metadata.name,
    uid: node.metadata.uid ?? "",
    labels: node.metadata.labels ?? {},
    taints: listOf(spec.taints).map(readTaint),
    unschedulable: spec.unschedulable === true,
    readySinceMs: readySince(listOf(status.conditions)),
    runtime: parseRuntime(recordOf(status.nodeInfo).containerRuntimeVersion),
    addresses: listOf(status.addresses)
      .map((entry) => textOf(recordOf(entry).address))
      .filter((address) => address !== ""),
  };
}

/** Reads `containerd://2.1.9`; null for anything else. */
export function parseRuntime(text: unknown): ContainerRuntime | null {
  const [, name, version] = (typeof text === "string" ? /^([a-z0-9-]+):\/\/v?(.+)$/.exec(text) : null) ?? [];
  return name === undefined || version === undefined ? null : { name, version };
}

function readTaint(value: unknown): NodeTaint {
  const taint = recordOf(value);
  return { key: textOf(taint.key), value: textOf(taint.value), effect: textOf(taint.effect) };
}

function readySince(conditions: readonly unknown[]): number | undefined {
  const ready = conditions.map(recordOf).find((condition) => condition.type === "Ready");
  if (ready?.status !== "True") return undefined;
  const since = Date.parse(textOf(ready.lastTransitionTime));
  return Number.isNaN(since) ? 0 : since;
}
