import { createServer as createHttpServer, type IncomingMessage, type RequestListener, type Server } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { certificateNames } from "../../src/tls/certificate.ts";
import { issueAuthority, issueLeaf } from "../../src/tls/issue.ts";

export type RegistryEndpoint = {
  readonly url: string;
  readonly port: number;
  /** PEM by which its certificate is trusted. */
  readonly ca: string;
  /** Requests seen, in order. */
  readonly requests: readonly Pick<IncomingMessage, "method" | "url" | "headers">[];
  close(): Promise<void>;
};

/** Answers as a registry behind a token endpoint does: 401 with a Bearer challenge on `/v2/`. */
export const challenge: RequestListener = (request, response) => {
  const realm = `${request.headers["x-forwarded-proto"] ?? "https"}://${request.headers.host}/auth/token`;
  response.writeHead(401, {
    "docker-distribution-api-version": "registry/2.0",
    "www-authenticate": `Bearer realm="${realm}",service="registry"`,
  });
  response.end();
};

type Identity = { readonly ca: string; readonly cert: string; readonly key: string };

/** Keys take long to make: one identity for each list of names and number, for the whole test process. */
const identities = new Map<string, Promise<Identity>>();

async function makeIdentity(names: readonly string[]): Promise<Identity> {
  const nowMs = Date.now();
  const authority = await issueAuthority({ commonName: "test", nowMs });
  const leaf = await issueLeaf({ authority, commonName: "registry", names: certificateNames(names), nowMs });
  return { ca: authority.certificate, cert: leaf.certificate, key: leaf.key };
}

function identityFor(names: readonly string[], number: number): Promise<Identity> {
  const key = JSON.stringify([names, number]);
  const made = identities.get(key) ?? makeIdentity(names);
  identities.set(key, made);
  return made;
}

/**
 * A TLS server on loopback with a certificate for `names`.
 *
 * @param authority endpoints of another number have another CA
 */
export async function startRegistryEndpoint(
  listener: RequestListener = challenge,
  names: readonly string[] = ["registry.slipway-system.svc", "127.0.0.1"],
  authority = 1,
): Promise<RegistryEndpoint> {
  const { ca, cert, key } = await identityFor(names, authority);
  const requests: Pick<IncomingMessage, "method" | "url" | "headers">[] = [];
  const server = createServer({ cert, key }, (request, response) => {
    requests.push({ method: request.method, url: request.url, headers: request.headers });
    listener(request, response);
  });
  const port = await listen(server);
  return { url: `https://127.0.0.1:${port}`, port, ca, requests, close: () => close(server) };
}

/** A plain HTTP server on loopback: what a wrong address may lead to. */
export async function startPlainEndpoint(listener: RequestListener): Promise<{
  readonly port: number;
  close(): Promise<void>;
}> {
  const server = createHttpServer(listener);
  return { port: await listen(server), close: () => close(server) };
}

async function listen(server: Server): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  server.listen({ host: "127.0.0.1", port: 0 }, resolve);
  await promise;
  return (server.address() as AddressInfo).port;
}

async function close(server: Server): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  server.close(() => resolve());
  server.closeAllConnections();
  await promise;
}
