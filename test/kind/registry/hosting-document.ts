import assert from "node:assert/strict";
import { parse } from "yaml";
import type { Cluster } from "../cluster.ts";

/** ConfigMap `local-registry-hosting` as a tool reads it. */
export type HostingDocument = {
  readonly host?: string;
  readonly hostFromContainerRuntime?: string;
  readonly hostFromClusterNetwork?: string;
  readonly help?: string;
};

/** @see https://github.com/kubernetes/enhancements/tree/master/keps/sig-cluster-lifecycle/generic/1755-communicating-a-local-registry */
export async function readHostingDocument(cluster: Cluster): Promise<HostingDocument> {
  const found = await cluster.get("configmap", { name: "local-registry-hosting", namespace: "kube-public" });
  const document: unknown = parse(found.data["localRegistryHosting.v1"]);
  assert.ok(typeof document === "object" && document !== null);
  return document;
}

/** The command after which `host` answers, as the help says it; undefined where none is needed. */
export function forwardCommand({ help = "" }: HostingDocument): readonly string[] | undefined {
  const [, command] = /^.*: kubectl (.*port-forward.*)$/m.exec(help) ?? [];
  return command?.split(" ");
}
