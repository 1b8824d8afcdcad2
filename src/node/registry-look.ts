import type { IncomingMessage } from "node:http";
import { checkNamespace } from "../config/names.ts";
import { probeRepository, probeTag } from "./contract-pod.ts";
import { judgeError, openRequest, type ProbeTarget, probeTimeoutMs } from "./registry-probe.ts";
import type { Failure } from "./strategy.ts";

/** Of all answers together: a look costs less than a megabyte. */
const limitBytes = 512 * 1024;
const manifestType = "application/vnd.oci.image.manifest.v1+json";

export type LookOutcome =
  | { readonly kind: "pulled"; readonly bytes: number }
  /** The login is good and the image is not there: the leader pushes it when it finds that out. */
  | { readonly kind: "absent" }
  | { readonly kind: "failed"; readonly failure: Failure };

type Login = { readonly username: string; readonly password: string };
type Reply = { readonly status: number; readonly headers: IncomingMessage["headers"]; readonly body: Buffer };
type Budget = { left: number };

/**
 * Pulls `slipway-check/probe` as the runtime would: the challenge, the token, the manifest and every blob, all by the
 * same address and trust. What is pulled is not kept, and the login goes to `target` alone; the realm of an external
 * registry may be elsewhere, as its challenge says.
 *
 * @returns never rejects but by the signal's reason
 * @see https://distribution.github.io/distribution/spec/auth/token/
 */
export async function lookAtProbe(target: ProbeTarget, login: Login, signal: AbortSignal): Promise<LookOutcome> {
  const timeout = AbortSignal.timeout(probeTimeoutMs);
  const budget: Budget = { left: limitBytes };
  try {
    return await pull(target, { login, budget, signal: AbortSignal.any([signal, timeout]) });
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof LookFault) return { kind: "failed", failure: error.failure };
    if (!timeout.aborted) return { kind: "failed", failure: judgeError(error, target) };
    return failed("Unreachable", `${target.url} did not answer a pull within ${probeTimeoutMs / 1000} s`);
  }
}

type Look = { readonly login: Login; readonly budget: Budget; readonly signal: AbortSignal };

async function pull(target: ProbeTarget, look: Look): Promise<LookOutcome> {
  const root = `/v2/${probeRepository(checkNamespace)}`;
  const path = `${root}/manifests/${probeTag}`;
  const challenge = await get(target, path, { ...look, headers: { accept: manifestType } });
  const authorization = await authorize(target, challenge, look);
  const headers = { accept: manifestType, ...(authorization === undefined ? {} : { authorization }) };
  const manifest = authorization === undefined ? challenge : await get(target, path, { ...look, headers });
  if (manifest.status === 404) return { kind: "absent" };
  if (manifest.status !== 200) return refused(target, "the manifest", manifest.status);
  for (const digest of digestsOf(manifest.body)) {
    const blob = await get(target, `${root}/blobs/${digest}`, { ...look, headers });
    // An external registry may send blobs from its storage; that way is the runtime's own.
    if (blob.status === 302 || blob.status === 307) continue;
    if (blob.status !== 200) return refused(target, "a blob", blob.status);
  }
  return { kind: "pulled", bytes: limitBytes - look.budget.left };
}

/** The Authorization header that the challenge asks for; undefined where there was none. */
async function authorize(target: ProbeTarget, { status, headers }: Reply, look: Look): Promise<string | undefined> {
  if (status !== 401) return undefined;
  const challenge = headers["www-authenticate"] ?? "";
  const basic = `Basic ${Buffer.from(`${look.login.username}:${look.login.password}`).toString("base64")}`;
  if (/^basic\b/i.test(challenge)) return basic;
  const { realm = "", service = "" } = parameters(challenge);
  if (!URL.canParse(realm)) throw new LookFault("NotARegistry", `${target.url} sent a challenge without a realm`);
  const url = new URL(realm);
  // A hosted registry is its own token endpoint: whatever host the realm names, the login goes nowhere else.
  const isElsewhere = target.kind === "external" && url.protocol === "https:";
  const at: ProbeTarget = isElsewhere ? { ...target, url: url.origin } : target;
  url.searchParams.set("service", service);
  url.searchParams.set("scope", `repository:${probeRepository(checkNamespace)}:pull`);
  const reply = await get(at, url.pathname + url.search, { ...look, headers: { authorization: basic } });
  if (reply.status !== 200) {
    const { failure } = refused(target, "a token", reply.status);
    throw new LookFault(failure.reason, failure.message);
  }
  const answer = parseJson(reply.body) as { readonly token?: unknown; readonly access_token?: unknown } | undefined;
  const token = answer?.token ?? answer?.access_token;
  if (typeof token !== "string") throw new LookFault("NotARegistry", `${at.url} answered without a token`);
  return `Bearer ${token}`;
}

function refused(target: ProbeTarget, what: string, status: number): Extract<LookOutcome, { kind: "failed" }> {
  const at = `${target.url} answered ${status} for ${what} of ${probeRepository(checkNamespace)}`;
  if (status === 401 || status === 403)
    return failed("LoginRefused", `${at}: the pull login of slipway-check is refused`);
  if (status === 429 || status >= 500) return failed("Unavailable", `${at}; look at the registry's pod`);
  return failed("NotARegistry", `${at}; something else may listen there`);
}

function failed(reason: string, message: string): Extract<LookOutcome, { kind: "failed" }> {
  return { kind: "failed", failure: { reason, message } };
}

async function get(
  target: ProbeTarget,
  path: string,
  options: Look & { readonly headers: Readonly<Record<string, string>> },
): Promise<Reply> {
  const { budget, headers, signal } = options;
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const request = openRequest(target, { path, headers, signal });
  request.on("error", reject);
  request.on("response", resolve);
  const response = await promise;
  const chunks: Buffer[] = [];
  for await (const chunk of response as AsyncIterable<Buffer>) {
    budget.left -= chunk.length;
    if (budget.left < 0) throw new LookFault("NotARegistry", `${target.url} sent more than ${limitBytes} bytes`);
    chunks.push(chunk);
  }
  return { status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) };
}

/** Of the configuration and the layers, at most eight. */
function digestsOf(body: Buffer): readonly string[] {
  const manifest = parseJson(body) as { readonly config?: unknown; readonly layers?: unknown } | undefined;
  const layers = Array.isArray(manifest?.layers) ? manifest.layers : [];
  return [manifest?.config, ...layers]
    .map((entry: { readonly digest?: unknown } | null | undefined) => entry?.digest)
    .filter((digest): digest is string => typeof digest === "string" && /^sha256:[0-9a-f]{64}$/.test(digest))
    .slice(0, 8);
}

function parameters(challenge: string): Readonly<Record<string, string | undefined>> {
  return Object.fromEntries([...challenge.matchAll(/(\w+)="([^"]*)"/g)].map(([, name, value]) => [name, value]));
}

function parseJson(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString("utf8"));
  } catch {
    // No JSON is no answer; callers say what they missed.
    return undefined;
  }
}

class LookFault extends Error {
  override readonly name = "LookFault";
  readonly failure: Failure;
  constructor(reason: string, message: string) {
    super(message);
    this.failure = { reason, message };
  }
}
