import type { ClientRequest, IncomingMessage } from "node:http";
import http from "node:http";
import https from "node:https";
import { isIP, type LookupFunction } from "node:net";
import { rootCertificates } from "node:tls";
import { errorCode } from "./disk.ts";
import type { Failure } from "./strategy.ts";

export const probeTimeoutMs = 10_000;

export type ProbeTarget = {
  /** Origin to connect to, `https://…` or, for the loopback proxy, `http://…`. */
  readonly url: string;
  /** PEM; null: the system's trust. */
  readonly ca: string | null;
  /** Name that the certificate is checked against; the host of `url` unless given. */
  readonly serverName?: string;
  /** How names are resolved; the system's way unless given. */
  readonly lookup?: LookupFunction;
  /** `external`: 200 and a Basic challenge are fine too, and the version header is not asked for. */
  readonly kind: "hosted" | "external";
};

/**
 * Looks at `/v2/` as a container runtime does: a hosted registry answers 401 with a Bearer challenge and
 * `docker-distribution-api-version`.
 *
 * @returns undefined when it is the registry, else why not: `NameUnknown`, `NameLookupFailed`, `Unreachable`,
 *   `WrongCertificate`, `Proxy`, `Unavailable` or `NotARegistry`. Rejects with the signal's reason only.
 * @see https://distribution.github.io/distribution/spec/api/#api-version-check
 */
export async function probeRegistry(target: ProbeTarget, signal: AbortSignal): Promise<Failure | undefined> {
  const timeout = AbortSignal.timeout(probeTimeoutMs);
  try {
    return judgeAnswer(await head(target, AbortSignal.any([signal, timeout])), target);
  } catch (error) {
    signal.throwIfAborted();
    if (timeout.aborted) return unreachable(target, `no answer within ${probeTimeoutMs / 1000} s`);
    return judgeError(error, target);
  }
}

type Answer = { readonly status: number; readonly headers: IncomingMessage["headers"] };

function head(target: ProbeTarget, signal: AbortSignal): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const request = openRequest(target, { path: "/v2/", headers: { accept: "application/json" }, signal });
  request.on("error", reject);
  request.on("response", (response) => {
    resolve({ status: response.statusCode ?? 0, headers: response.headers });
    // The body says nothing that the headers do not; the connection is not kept.
    response.on("error", () => response.destroy());
    response.destroy();
  });
  return promise;
}

/** A GET by the way and the trust of `target`, on a connection of its own. */
export function openRequest(
  target: ProbeTarget,
  options: {
    readonly path: string;
    readonly headers: Readonly<Record<string, string>>;
    readonly signal: AbortSignal;
  },
): ClientRequest {
  const url = new URL(options.path, target.url);
  const common = {
    agent: false,
    signal: options.signal,
    headers: { "user-agent": "slipway-node-agent", ...options.headers },
    ...(target.lookup === undefined ? {} : { lookup: target.lookup }),
    // RFC 6066 has no server name for an address; the certificate is then checked against the one connected to.
    ...(target.serverName === undefined || isIP(target.serverName) !== 0 ? {} : { servername: target.serverName }),
  } as const;
  // No SNI for an address: the certificate has to name the address itself, as the runtime will demand.
  const trust =
    target.ca === null ? {} : { ca: target.kind === "external" ? [...rootCertificates, target.ca] : target.ca };
  return url.protocol === "http:" ? http.get(url, common) : https.get(url, { ...common, ...trust });
}

function judgeAnswer({ status, headers }: Answer, target: ProbeTarget): Failure | undefined {
  const challenge = headers["www-authenticate"] ?? "";
  const isVersioned = String(headers["docker-distribution-api-version"]).startsWith("registry/2.0");
  if (isVersioned && status === 401 && /^bearer\s/i.test(challenge)) return undefined;
  if (target.kind === "external" && (status === 200 || (status === 401 && challenge !== ""))) return undefined;
  if (status === 407 || headers.via !== undefined || headers["proxy-authenticate"] !== undefined) {
    return {
      reason: "Proxy",
      message: `a proxy answered for ${target.url} (${status}); add the address to NO_PROXY on this node`,
    };
  }
  if (status === 429 || status >= 500) {
    return { reason: "Unavailable", message: `${target.url} answered ${status}; look at the registry's pod` };
  }
  return {
    reason: "NotARegistry",
    message: `${target.url}/v2/ answered ${status} without a registry's challenge; something else listens there`,
  };
}

/** @see https://nodejs.org/api/tls.html#x509-certificate-error-codes */
const certificateCodes =
  /^(UNABLE_TO_|CERT_|DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|ERR_TLS_CERT|INVALID_CA|INVALID_PURPOSE|HOSTNAME_MISMATCH|PATH_LENGTH_EXCEEDED)/;

/** What an error of a request to `target` means for the node. */
export function judgeError(error: unknown, target: ProbeTarget): Failure {
  const code = errorCode(error);
  const host = new URL(target.url).hostname;
  if (code === "ENOTFOUND" || code === "ENODATA" || code === "EAI_NONAME") {
    return { reason: "NameUnknown", message: `${host} does not resolve on this node` };
  }
  if (code === "EAI_AGAIN" || isOfResolver(error)) {
    return { reason: "NameLookupFailed", message: `the node's name server did not answer for ${host} (${code})` };
  }
  if (certificateCodes.test(code)) {
    const clock = code === "CERT_NOT_YET_VALID" || code === "CERT_HAS_EXPIRED" ? "; check the node's clock" : "";
    return { reason: "WrongCertificate", message: `the certificate of ${target.url} is not trusted (${code})${clock}` };
  }
  if (code === "EPROTO" || code.startsWith("ERR_SSL") || code.startsWith("HPE_")) {
    return { reason: "NotARegistry", message: `${target.url} does not speak ${isTls(target)} (${code})` };
  }
  return unreachable(target, code === "" ? "the connection failed" : code);
}

/** node:dns names the query in `syscall` (`queryA`): its ECONNREFUSED is the name server's, not the registry's. */
function isOfResolver(error: unknown): boolean {
  const call = typeof error === "object" && error !== null ? (error as { syscall?: unknown }).syscall : undefined;
  return typeof call === "string" && call.startsWith("query");
}

function isTls(target: ProbeTarget): string {
  return target.url.startsWith("https:") ? "TLS" : "HTTP";
}

function unreachable(target: ProbeTarget, why: string): Failure {
  const host = new URL(target.url).hostname.replace(/^\[|\]$/g, "");
  const advice = isIP(host) === 0 ? "" : "; check kube-proxy and network policies for Service registry";
  return { reason: "Unreachable", message: `${target.url} cannot be reached (${why})${advice}` };
}
