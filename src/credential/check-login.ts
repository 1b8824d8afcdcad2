import type { Clock, Random } from "../clock.ts";
import { createRegistryClient } from "../registry/client.ts";
import { addressOf, createTcpConnect } from "../registry/connection.ts";
import { createExchange } from "../registry/exchange.ts";
import { RegistryError } from "../registry/registry-error.ts";
import type { Login } from "./login.ts";
import { isDockerHub, parseRegistryKey } from "./registry-key.ts";

export type LoginCheck =
  | { readonly kind: "accepted" }
  /** The registry answers without any login, so that this one was not looked at. */
  | { readonly kind: "not-asked" }
  | { readonly kind: "refused"; readonly message: string }
  | { readonly kind: "unreachable"; readonly message: string }
  /** A key with a pattern names no one registry. */
  | { readonly kind: "pattern" };

/**
 * Whether a registry takes a login: GET /v2/, and the challenge that it answers with is followed with the login. Says
 * nothing about the rights to any one image.
 *
 * @param key as in a docker config; a path in it plays no part
 * @see https://github.com/opencontainers/distribution-spec/blob/main/spec.md#determining-support
 */
export async function checkRegistryLogin(
  needs: { readonly ca: string | undefined; readonly clock: Clock; readonly random: Random },
  key: string,
  { login, signal }: { readonly login: Login; readonly signal: AbortSignal },
): Promise<LoginCheck> {
  const host = parseRegistryKey(key)?.host ?? "";
  if (host === "" || host.includes("*")) return { kind: "pattern" };
  const origin = new URL(`https://${isDockerHub(host) ? "registry-1.docker.io" : host}`);
  const ca = () => needs.ca;
  const exchange = createExchange({ origin, connect: createTcpConnect(addressOf(origin)), ca });
  const client = createRegistryClient({ ...needs, origin: origin.origin, ca, login: () => login });
  try {
    const answer = await exchange.send({ method: "GET", path: "/v2/", headers: {}, signal });
    answer.resume();
    if (answer.statusCode === 200) return { kind: "not-asked" };
    await client.ping(signal);
    return { kind: "accepted" };
  } catch (error) {
    if (!(error instanceof RegistryError)) throw error;
    const { message, status } = error;
    return { kind: status === 401 || status === 403 ? "refused" : "unreachable", message };
  } finally {
    exchange.close();
    client.close();
  }
}
