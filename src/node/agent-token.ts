import type { TokenVerdict } from "../cluster/token-review.ts";
import { agentAudience, nodeAgentAccount, nodeNamespace } from "../config/names.ts";
import type { NodeIdentity } from "./desk.ts";

/** The only account that serve takes reports from. */
export const agentUsername = `system:serviceaccount:${nodeNamespace}:${nodeAgentAccount}`;

const nodeNameKey = "authentication.kubernetes.io/node-name";
const nodeUidKey = "authentication.kubernetes.io/node-uid";

/**
 * Who a reviewed token speaks for. Any account's token names the node of its pod, so the account decides, then the
 * audience, then the node.
 *
 * @see https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#additional-metadata-in-pod-bound-tokens
 */
export function agentIdentity(verdict: TokenVerdict): NodeIdentity | undefined {
  if (verdict.kind !== "authenticated" || verdict.username !== agentUsername) return undefined;
  if (!verdict.audiences.includes(agentAudience)) return undefined;
  const name = verdict.extra[nodeNameKey]?.[0];
  return name === undefined || name === "" ? undefined : { name, uid: verdict.extra[nodeUidKey]?.[0] ?? "" };
}

/**
 * Whether a bearer token could be an agent's, by what it says of itself and without verifying anything: what cannot
 * be is refused before the API server is asked, so that strangers cannot make serve ask.
 */
export function mayBeAgentToken(token: string, nowMs: number): boolean {
  const payload = token.length > 8192 ? undefined : token.split(".")[1];
  if (payload === undefined) return false;
  const claims = parseClaims(payload);
  const audiences = Array.isArray(claims.aud) ? claims.aud : [claims.aud];
  const expires = claims.exp;
  return (
    claims.sub === agentUsername &&
    audiences.includes(agentAudience) &&
    typeof expires === "number" &&
    expires * 1000 > nowMs
  );
}

function parseClaims(payload: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(Buffer.from(payload, "base64url").toString("utf8"));
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    // Not a JSON Web Token: it claims nothing.
    return {};
  }
}
