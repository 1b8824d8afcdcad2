import { createHash } from "node:crypto";
import type { CompiledRegistry } from "../config/compiled.ts";
import type { LocalRegistrySpec } from "../config/local-registry.ts";
import { loopbackPort, registryHost } from "../config/names.ts";
import { registryNames } from "../config/registry-names.ts";
import type { AccessPlan } from "./access-plan.ts";
import { type ContainerRuntime, type NodeOrders, nodeProtocolVersion, type OrderedRegistry } from "./protocol.ts";

export type OrderFacts = {
  /** null when there is no LocalRegistry, or it is being deleted: everything of ours goes from the nodes. */
  readonly spec: LocalRegistrySpec | null;
  /** The last good compiled registry, whose names count when the spec's cannot be used. */
  readonly registry: CompiledRegistry | null;
  readonly plan: AccessPlan;
  /** `spec.clusterIP` of Service `registry`; null while it does not exist. Unused for an external registry. */
  readonly clusterIp: string | null;
  /** PEM, old and new CA while it rotates; null where the system's trust is enough. */
  readonly caBundle: string | null;
  readonly checkLogin: OrderedRegistry["checkLogin"];
  readonly lookCount: number;
  readonly runtime: ContainerRuntime | null;
};

/**
 * The orders of one node, with a revision made from their content, so that every replica of serve gives the same.
 *
 * @returns undefined while it is not known where the hosted registry is or by which CA it is trusted: agents go on
 *   with what they have
 */
export function composeOrders(facts: OrderFacts): NodeOrders | undefined {
  const registry = facts.spec === null ? null : orderedRegistry(facts.spec, facts);
  if (registry === undefined) return undefined;
  const content = {
    protocol: nodeProtocolVersion,
    registry,
    modes: facts.plan.modes,
    remove: facts.plan.remove,
    lookCount: facts.lookCount,
    runtime: facts.runtime,
  };
  const revision = createHash("sha256").update(JSON.stringify(content)).digest("hex").slice(0, 32);
  return { ...content, revision };
}

function orderedRegistry(spec: LocalRegistrySpec, facts: OrderFacts): OrderedRegistry | undefined {
  const rest = {
    names: facts.registry?.names ?? registryNames(spec).names,
    ca: facts.caBundle,
    loopbackPort: spec.loopbackPort ?? loopbackPort,
    checkLogin: facts.checkLogin,
  };
  if (spec.external !== undefined) {
    const url = new URL(spec.external.url);
    return { kind: "external", ...rest, server: url.origin, serverName: bare(url.hostname) };
  }
  // Our own CA is always needed there: without it the agents would write files that trust nothing.
  if (facts.clusterIp === null || facts.caBundle === null) return undefined;
  const address = facts.clusterIp.includes(":") ? `[${facts.clusterIp}]` : facts.clusterIp;
  return { kind: "hosted", ...rest, server: `https://${address}:443`, serverName: registryHost };
}

/** An IPv6 host without the brackets that a URL needs. */
function bare(hostname: string): string {
  return hostname.replace(/^\[(.*)\]$/, "$1");
}
