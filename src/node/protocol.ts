import type { NodeAccessMode } from "../config/local-registry.ts";

/**
 * The long poll between node agent and serve: POST /node, JSON both ways, `Authorization: Bearer` with a projected
 * token of audience `slipway-agent`. serve answers at once when its orders differ from `seen`, else after at most
 * `pollSeconds`. Both sides ignore fields that they do not know, so that a version and the one before it can talk.
 */
export const nodeProtocolVersion = 1;
export const pollSeconds = 50;

export type NodeReport = {
  readonly protocol: number;
  /** `revision` of the orders that the agent acts on; "" before the first. */
  readonly seen: string;
  readonly agentVersion: string;
  readonly findings: NodeFindings | null;
};

/** What an agent found out, one entry for each mode that it tried. */
export type NodeFindings = {
  readonly modes: readonly ModeFinding[];
  /** Fingerprints (SHA-256, hex) of the CAs in use on this node. */
  readonly trustedCas: readonly string[];
  /** Modes of `remove` of which nothing is left on this node; an agent before 0.1 does not say. */
  readonly removed?: readonly NodeAccessMode[];
};

export type ModeFinding = {
  readonly mode: NodeAccessMode;
  readonly passed: boolean;
  /** One stable word when it did not pass, e.g. `ConfigPathUnset`, `ForeignFile`, `PortTaken`, `Unreachable`. */
  readonly reason: string;
  /** What was found and what to do, for people; no secrets. */
  readonly message: string;
};

export type NodeOrders = {
  readonly protocol: number;
  /** Opaque; changes with any change of what follows. */
  readonly revision: string;
  /** null: there is no registry to reach; files of ours are removed when `remove` says so. */
  readonly registry: OrderedRegistry | null;
  /** What has to be served at the moment; `Auto` may name several, the chosen one first. */
  readonly modes: readonly NodeAccessMode[];
  /** Modes whose files and listeners are to be removed. */
  readonly remove: readonly NodeAccessMode[];
  /** Counted up when serve wants a fresh look at once. */
  readonly lookCount: number;
  /** The node's container runtime as its kubelet reports it (`status.nodeInfo`); null where it is not known. */
  readonly runtime?: ContainerRuntime | null;
};

/** @see https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/node-v1/#NodeStatus (`<name>://<version>`) */
export type ContainerRuntime = { readonly name: string; readonly version: string };

export type OrderedRegistry = {
  /** Absent: hosted by Slipway. An external registry may answer `/v2/` with 200 or with a Basic challenge. */
  readonly kind?: "hosted" | "external";
  /** Canonical host first, then every alias: `host[:port]`. */
  readonly names: readonly string[];
  /** Where to connect: `https://<ClusterIP>:443`, or the external URL. */
  readonly server: string;
  /** Name to verify the certificate against when `server` is an address. */
  readonly serverName: string;
  readonly ca: string | null;
  readonly loopbackPort: number;
  /** slipway-check's pull login for the hourly look; in memory only, never written. */
  readonly checkLogin: { readonly username: string; readonly password: string } | null;
};
