import { rootCertificates } from "node:tls";
import type { Clock, Random } from "../clock.ts";
import type { ClusterApi } from "../cluster/api.ts";
import type { PortForward } from "../cluster/port-forward.ts";
import { gatewayPort, registryHost, systemNamespace } from "../config/names.ts";
import { registryNames } from "../config/registry-names.ts";
import type { Login } from "../credential/login.ts";
import { SlipwayError } from "../errors.ts";
import { createRegistryClient, type RegistryClient } from "./client.ts";
import { type ClusterAccess, findReadyPod, readClusterAccess, readLogin } from "./cluster-access.ts";
import type { Connect } from "./connection.ts";
import { forwardedPort } from "./hosting-document.ts";
import { isPassing, RegistryError } from "./registry-error.ts";

/** The user's machine to the local registry: which way works, and what the registry is called. */
export type Reached = {
  readonly client: RegistryClient;
  /** The registry's own names, the canonical one first: what references begin with. */
  readonly names: readonly string[];
  /** The way, for people. */
  readonly way: string;
  /** `host[:port]` that other programs on this machine could use; undefined behind a tunnel. */
  readonly address: string | undefined;
  readonly login: Login;
  /** PEM of our CA alone; undefined where the system's trust is enough. */
  readonly ca: string | undefined;
};

/** What the user gave; each replaces what the cluster would tell. */
export type ReachOptions = {
  readonly url?: string | undefined;
  /** PEM. */
  readonly ca?: string | undefined;
  readonly login?: Login | undefined;
};

export type ReachNeeds = {
  readonly options: ReachOptions;
  /** undefined: the cluster is not asked, which needs `url` and `login`. */
  readonly cluster: { readonly api: ClusterApi; readonly portForward: () => PortForward } | undefined;
  /**
   * While nothing answers it goes on trying for so long, and so does the client that is found: a pod of the registry
   * that is replaced is back in seconds. A refused login, a name that does not resolve and a certificate that does not
   * verify are told at once.
   */
  readonly patienceMs: number;
  readonly clock: Clock;
  readonly random: Random;
};

export type Way = {
  readonly origin: string;
  readonly ca: string | undefined;
  /** For people. */
  readonly name: string;
  readonly address: string | undefined;
  readonly connect?: Connect;
};

const answerWithinMs = 5_000;
const againAfterMs = 1_000;

/**
 * Finds a way to the registry: the URL that the user gave, the external one, the address that LocalRegistry's status
 * names if it answers, else a port-forward to a ready pod, found anew for each connection. Where none answers it tries
 * again until `patienceMs` are over.
 *
 * @throws SlipwayError REGISTRY_UNREACHABLE with what was tried; ApiError
 */
export async function reachRegistry(needs: ReachNeeds, signal: AbortSignal): Promise<Reached> {
  const { options, cluster } = needs;
  const access = cluster === undefined ? undefined : await readClusterAccess(cluster.api, signal);
  const login = options.login ?? (await clusterLogin(needs, access, signal));
  const names = access === undefined ? [] : registryNames(access.spec).names;
  const tunnel: Connect | undefined =
    cluster &&
    (async () => cluster.portForward().connect(systemNamespace, await findReadyPod(cluster.api, signal), gatewayPort));
  const ways = waysTo(options, access, tunnel);
  const deadlineMs = needs.clock.monotonicMs() + needs.patienceMs;
  for (;;) {
    const { found, faults } = await tryWays(needs, { ways, login, signal });
    if (found !== undefined) {
      const { client, way } = found;
      const own = names.length === 0 ? [new URL(way.origin).host] : names;
      return { client, names: own, way: way.name, address: way.address, login, ca: options.ca ?? access?.ca };
    }
    const mayPass = faults.some((fault) => fault.mayPass) && needs.clock.monotonicMs() < deadlineMs;
    if (!mayPass) throw new SlipwayError("REGISTRY_UNREACHABLE", faults.map(({ text }) => text).join("; "));
    await needs.clock.sleep(againAfterMs, signal);
  }
}

type Fault = { readonly text: string; readonly mayPass: boolean };

/** Each way once, until one answers. */
async function tryWays(
  needs: Pick<ReachNeeds, "patienceMs" | "clock" | "random">,
  attempt: { readonly ways: readonly Way[]; readonly login: Login; readonly signal: AbortSignal },
): Promise<{
  readonly found?: { readonly client: RegistryClient; readonly way: Way };
  readonly faults: readonly Fault[];
}> {
  const faults: Fault[] = [];
  for (const way of attempt.ways) {
    const client = createRegistryClient({
      origin: way.origin,
      ...(way.connect === undefined ? {} : { connect: way.connect }),
      ca: () => way.ca,
      login: () => attempt.login,
      patienceMs: needs.patienceMs,
      clock: needs.clock,
      random: needs.random,
    });
    const fault = await tryPing(client, needs.clock, attempt.signal);
    if (fault === undefined) return { found: { client, way }, faults };
    client.close();
    faults.push({ ...fault, text: `${way.name}: ${fault.text}` });
  }
  return { faults };
}

async function clusterLogin(needs: ReachNeeds, access: ClusterAccess | undefined, signal: AbortSignal): Promise<Login> {
  if (needs.cluster === undefined || access === undefined) {
    throw new SlipwayError("CONFIG_INVALID", "--registry without a cluster needs --username and --password-file");
  }
  return readLogin(needs.cluster.api, access.spec, signal);
}

/** The ways in the order in which they are tried. Pure. */
export function waysTo(
  options: ReachOptions,
  access: ClusterAccess | undefined,
  tunnel: Connect | undefined,
): readonly Way[] {
  const ca = options.ca ?? access?.ca;
  const direct = (origin: string): Way => ({
    origin,
    ca: withSystemTrust(ca),
    name: origin,
    address: new URL(origin).host,
  });
  if (options.url !== undefined) return [direct(options.url)];
  const external = access?.spec.external;
  if (external !== undefined) return [direct(new URL(external.url).origin)];
  const outside = access?.outsideHost;
  const isForwarded = outside === `localhost:${forwardedPort}`;
  return [
    ...(outside === undefined || isForwarded ? [] : [direct(`https://${outside}`)]),
    ...(tunnel === undefined
      ? []
      : [{ origin: `https://${registryHost}`, ca, name: "port-forward", address: undefined, connect: tunnel }]),
  ];
}

/** An Ingress may carry a certificate that the system trusts, everything else has ours. */
function withSystemTrust(ca: string | undefined): string | undefined {
  return ca === undefined ? undefined : [ca, ...rootCertificates].join("\n");
}

async function tryPing(client: RegistryClient, clock: Clock, signal: AbortSignal): Promise<Fault | undefined> {
  const deadline = new AbortController();
  const bounded = AbortSignal.any([signal, deadline.signal]);
  const timer = new AbortController();
  void clock
    .sleep(answerWithinMs, timer.signal)
    .then(() => deadline.abort(new SlipwayError("REGISTRY_UNREACHABLE", `no answer within ${answerWithinMs} ms`)))
    .catch(() => undefined); // it answered in time
  try {
    await client.ping(bounded);
    return undefined;
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof RegistryError && error.status === 401) {
      return { text: "the login was refused (401)", mayPass: false };
    }
    if (error instanceof RegistryError) return { text: adviceFor(error), mayPass: isPassing(error) };
    if (error instanceof SlipwayError) return { text: error.message, mayPass: true };
    throw error;
  } finally {
    timer.abort();
  }
}

/** What Node says of a chain that ends at no CA it was given. @see https://nodejs.org/api/tls.html#x509-certificate-error-codes */
const untrusted: ReadonlySet<string> = new Set([
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
]);

/** Node's own advice is about flags of Node. */
function adviceFor({ code, message }: RegistryError): string {
  if (untrusted.has(code)) return `its certificate is signed by nobody who is trusted here (${code}); give --ca-file`;
  if (code !== "ERR_TLS_CERT_ALTNAME_INVALID") return message;
  return "its certificate is not for this name; use one that it has, or add this one to LocalRegistry spec.exposure.extraNames";
}
