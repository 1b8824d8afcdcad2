import type { IncomingMessage, ServerResponse } from "node:http";
import type { Registry } from "prom-client";
import type { Clock } from "../clock.ts";
import type { AccessReviewer } from "../cluster/access-review.ts";
import type { Component } from "../cluster/component.ts";
import type { KubernetesObject } from "../cluster/object.ts";
import type { ObservedStore } from "../cluster/store.ts";
import type { TokenReviewer } from "../cluster/token-review.ts";
import {
  registryCertificateSecretName,
  registryProvidedCertificateSecretName,
  tokenSigningSecretName,
} from "../config/names.ts";
import type { Check, Checks } from "../http/operations.ts";
import { limitRest } from "../http/rest.ts";
import { createHttpsServer, type HttpHandler } from "../http/server.ts";
import type { Log } from "../log.ts";
import type { NamespaceSelection } from "../namespace/selection.ts";
import { hostedCertificateNames } from "../registry/certificate-names.ts";
import { catalogueStreamPath } from "../registry/stream-protocol.ts";
import { secretValue } from "../tls/secret-data.ts";
import { createSecretCertificateSource } from "../tls/serving-certificate.ts";
import { createAccounts } from "./account.ts";
import { type Audit, createAudit, unansweredStatus } from "./audit.ts";
import { createAuthenticator } from "./authenticate.ts";
import { createAuthorizer } from "./authorize.ts";
import { type BodyLimits, defaultBodyLimits } from "./body-limits.ts";
import { createCatalogSource } from "./catalog.ts";
import { createCatalogueStreams } from "./catalogue-stream.ts";
import { createEventHub } from "./event-hub.ts";
import { createForwarder, type ForwardLimits } from "./forward.ts";
import { registryRejection, sendError, tokenPath } from "./refusal.ts";
import { createRegistryHandler } from "./registry-handler.ts";
import { createRegistrySecrets, type RegistrySecrets } from "./registry-secrets.ts";
import { createRegistryView } from "./registry-view.ts";
import { remembered } from "./remembered.ts";
import { awaitsContinue, checkRequestHead } from "./request-head.ts";
import { createStanding } from "./standing.ts";
import { createStoreGauge, type StoreGauge } from "./store-gauge.ts";
import { measureStore } from "./store-size.ts";
import { createThrottle } from "./throttle.ts";
import { createTokenIssuer, createTokenVerifier } from "./token.ts";
import { createTokenEndpoint } from "./token-endpoint.ts";

export type GatewayNeeds = {
  /** Of Distribution, plain HTTP on loopback. */
  readonly distributionUrl: string;
  /** Where Slipway's own Secrets live. */
  readonly namespace: string;
  /** As serve has it. */
  readonly selection: NamespaceSelection;
  /** Each holds the Secret of its name in `namespace`; one store for all of them does as well. */
  readonly secrets: {
    readonly keys: ObservedStore<KubernetesObject>;
    readonly admin: ObservedStore<KubernetesObject>;
    readonly users: ObservedStore<KubernetesObject>;
    readonly certificate: ObservedStore<KubernetesObject>;
    readonly providedCertificate: ObservedStore<KubernetesObject>;
    readonly tokenSigning: ObservedStore<KubernetesObject>;
  };
  /** Metadata is enough. */
  readonly namespaces: ObservedStore<KubernetesObject>;
  readonly localRegistries: ObservedStore<KubernetesObject>;
  readonly tokenReviewer: TokenReviewer;
  readonly accessReviewer: AccessReviewer;
  readonly listen: {
    /** 0: any free one, see `port()`. */
    readonly port: number;
    readonly host?: string | undefined;
    /** How long requests are still answered after the stop, while endpoints move; 5 s unless given. */
    readonly lingerMs?: number;
    /** How long after that what is running may take to end before it is cut; 20 s unless given. */
    readonly graceMs?: number;
    /** How long after it new connections are refused at least; not longer than needed unless given. */
    readonly refuseMs?: number;
  };
  readonly forwardLimits?: ForwardLimits;
  readonly bodyLimits?: BodyLimits;
  /** The root directory of Distribution's storage, where it is a volume; what it holds is then measured and told. */
  readonly storeDirectory?: string | undefined;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Registry;
};

/** The front door of the registry as a component: TLS server, token endpoint, proxy, catalogue streams. */
export type Gateway = Component & {
  /**
   * For `/readyz`. Ready means: the key Secret has been read from the API, so that this gateway knows every key that
   * was handed out, the namespaces are known, and it listens.
   */
  readonly ready: Checks;
  /** The port it listens on; undefined before. */
  port(): number | undefined;
};

const failedLoginsPerSecond = 10;

export function createGateway(needs: GatewayNeeds): Gateway {
  const secrets = createRegistrySecrets({ ...needs.secrets, namespace: needs.namespace, log: needs.log });
  const store = storeGauge(needs);
  const served = createHandler(needs, secrets, store);
  const { lingerMs, graceMs = 20_000, refuseMs = 0 } = needs.listen;
  const server = createHttpsServer({
    name: "gateway",
    handler: served.handler,
    port: needs.listen.port,
    host: needs.listen.host,
    certificate: createSecretCertificateSource({
      secrets: needs.secrets.certificate,
      key: `${needs.namespace}/${registryCertificateSecretName}`,
    }),
    // A certificate of the user's own, for the names that it has; see LocalRegistry `certificate`.
    namedCertificate: createSecretCertificateSource({
      secrets: needs.secrets.providedCertificate,
      key: `${needs.namespace}/${registryProvidedCertificateSecretName}`,
      whenGone: "forget",
    }),
    // Serve and the nodes trust Slipway's CA alone for the names that the registry has by itself.
    ownNames: hostedCertificateNames({}, { clusterIPs: [], nodeAddresses: [] }).dnsNames,
    continueByHandler: true,
    rejection: registryRejection,
    // A slow layer takes as long as it takes: the forwarder has its own timer for clients that stall.
    limits: { requestTimeoutMs: 0, graceMs, refuseMs, ...(lingerMs === undefined ? {} : { lingerMs }) },
    onDrain: served.endStreams,
    log: needs.log,
    clock: needs.clock,
  });
  return {
    name: "gateway",
    ready: readiness(needs, secrets, server.ready),
    port: server.port,
    async run(stop) {
      try {
        await Promise.all([server.run(stop), store?.run(stop)]);
      } finally {
        served.close();
      }
    },
  };
}

function readiness(needs: GatewayNeeds, secrets: RegistrySecrets, isListening: () => boolean): Checks {
  const unless = (isGood: () => boolean, problem: string): Check => {
    return () => (isGood() ? undefined : problem);
  };
  return {
    keys: unless(() => secrets.keys().length > 0, "the key Secret has not been read"),
    namespaces: unless(needs.namespaces.hasSynced, "the namespaces have not been listed"),
    localRegistry: unless(needs.localRegistries.hasSynced, "LocalRegistry has not been listed"),
    listening: unless(isListening, "not listening: no certificate yet, or stopping"),
  };
}

function storeGauge(needs: GatewayNeeds): StoreGauge | undefined {
  const { storeDirectory } = needs;
  if (storeDirectory === undefined) return undefined;
  return createStoreGauge({ ...needs, measure: (signal) => measureStore(storeDirectory, signal) });
}

/** Everything behind the TLS server. */
function createHandler(needs: GatewayNeeds, secrets: RegistrySecrets, store: StoreGauge | undefined) {
  const { clock, log, namespace, bodyLimits = defaultBodyLimits } = needs;
  const registry = createRegistryView(needs);
  const signingKey = `${namespace}/${tokenSigningSecretName}`;
  const signing = createSecretCertificateSource({ secrets: needs.secrets.tokenSigning, key: signingKey });
  const throttle = createThrottle({ clock, limit: failedLoginsPerSecond });
  const accounts = createAccounts(needs);
  const authorizer = createAuthorizer({ accounts, policy: registry });
  const standing = createStanding({
    namespaces: needs.namespaces,
    selection: needs.selection,
    users: secrets.users,
    hasAdmin: () => secrets.admin() !== undefined,
  });
  const issuer = createTokenIssuer({ signing, clock });
  const verifier = createTokenVerifier({
    authorities: remembered(needs.secrets.tokenSigning, signingKey, (secret) => secretValue(secret, "ca.crt")),
    clock,
  });
  const hub = createEventHub();
  if (store !== undefined) hub.subscribe(store.touch);
  const forwarder = createForwarder({
    url: needs.distributionUrl,
    ...(needs.forwardLimits === undefined ? {} : { limits: needs.forwardLimits }),
  });
  const catalog = createCatalogSource({
    url: needs.distributionUrl,
    token: async () => (await issuer.issue("gateway", [{ type: "registry", name: "catalog", actions: ["*"] }]))?.token,
  });
  const isReadOnly = () => registry().readOnly;
  const authenticator = createAuthenticator({ secrets, standing, accounts, throttle, clock });
  const streams = createCatalogueStreams({
    ...needs,
    hub,
    throttle,
    generations: () => secrets.keys().map((key) => key.generation),
    isReadOnly,
    bytesUsed: () => store?.bytes(),
  });
  const endpoints: Endpoints = {
    token: createTokenEndpoint({ authenticator, authorizer, issuer, bodyWithinMs: bodyLimits.loginMs, log }),
    stream: streams.handle,
    registry: createRegistryHandler({
      verifier,
      standing,
      authorizer,
      forwarder,
      catalog,
      hub,
      isReadOnly,
      manifestWithinMs: bodyLimits.manifestMs,
      log,
    }),
  };
  const handler = createRouter(endpoints, createAudit(needs), bodyLimits.restMs);
  return { handler, endStreams: streams.end, close: forwarder.close };
}

type Endpoint = ReturnType<typeof createRegistryHandler>;
type Endpoints = { readonly token: Endpoint; readonly stream: Endpoint; readonly registry: Endpoint };

function createRouter(endpoints: Endpoints, audit: Audit, restMs: number): HttpHandler {
  const choose = (path: string): Endpoint => {
    if (path === tokenPath) return endpoints.token;
    return path === catalogueStreamPath ? endpoints.stream : endpoints.registry;
  };
  return async (request: IncomingMessage, response: ServerResponse) => {
    const { record, end } = audit.begin(request);
    response.once("close", () => end(response.headersSent ? response.statusCode : unansweredStatus));
    limitRest(request, response, restMs);
    const fault = checkRequestHead(request);
    if (fault !== undefined) return sendError(response, fault.status, fault.error, { Connection: "close" });
    const [path = ""] = (request.url ?? "").split("?", 1);
    const endpoint = choose(path);
    if (endpoint !== endpoints.registry && awaitsContinue(request)) response.writeContinue();
    await endpoint(request, response, record);
  };
}
