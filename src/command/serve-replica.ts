import type { Registry } from "prom-client";
import type { Clock, Random } from "../clock.ts";
import type { ClusterApi } from "../cluster/api.ts";
import type { EventRecorder } from "../cluster/event.ts";
import { resources } from "../cluster/resource.ts";
import type { Compiled } from "../config/compiled.ts";
import { readCompiled } from "../config/compiled-secret.ts";
import { defaultSharedRepositories, type LocalRegistrySpec } from "../config/local-registry.ts";
import {
  certificateAuthoritySecretName,
  checkNamespace,
  checkOtherNamespace,
  compiledSecretName,
  registryAdminSecretName,
  registryHost,
} from "../config/names.ts";
import { deriveLogin } from "../credential/login.ts";
import type { Log } from "../log.ts";
import { createSecretEnsure } from "../namespace/ensure.ts";
import { createSecretWriter } from "../namespace/secret-writer.ts";
import { isOptedIn, type NamespaceSelection } from "../namespace/selection.ts";
import { type AccessPlan, planAccess } from "../node/access-plan.ts";
import { createNodeDesk, type NodeIdentity } from "../node/desk.ts";
import { gateVerdict } from "../node/gate.ts";
import { createOrderBook } from "../node/order-book.ts";
import { composeOrders } from "../node/orders.ts";
import type { NodeOrders } from "../node/protocol.ts";
import type { NodesNow } from "../node/standing.ts";
import { createVerdictBook } from "../node/verdict-book.ts";
import { createCatalogue } from "../registry/catalogue.ts";
import { createCatalogueFeed } from "../registry/catalogue-feed.ts";
import { createRegistryClient, type RegistryClient } from "../registry/client.ts";
import { gatewayEndpoints } from "../registry/endpoints.ts";
import { createPresence } from "../registry/presence.ts";
import { readAdminLogin } from "../registry/secrets.ts";
import { createRegistrySpecView } from "../registry/spec-view.ts";
import { secretValue } from "../tls/secret-data.ts";
import { createCompiledView } from "../webhook/compiled-view.ts";
import { createConfinedAccounts } from "../webhook/confined-accounts.ts";
import { createDecide } from "../webhook/decide.ts";
import { createWorldBuilder } from "../webhook/world.ts";
import type { ServeStores } from "./serve-stores.ts";

export type ReplicaNeeds = {
  readonly stores: ServeStores;
  readonly api: ClusterApi;
  readonly namespace: string;
  readonly selection: NamespaceSelection;
  /** serve's own token for the gateway's stream, read anew at each connection. */
  readonly gatewayToken: () => Promise<string>;
  readonly events: EventRecorder;
  /** See ensure.ts. */
  readonly ensureLimitMs?: number | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Registry;
};

export type ServeReplica = ReturnType<typeof createServeReplica>;

const pollLimit = 5_000;

/** What every replica of serve has, leader or not: the answers to admission, to agents, and what both rest on. */
export function createServeReplica(needs: ReplicaNeeds) {
  const { stores, api, namespace, selection, clock, random, log, metrics } = needs;
  const replicaStartMs = clock.nowMs();
  const secretKey = (name: string) => `${namespace}/${name}`;
  const secret = (name: string) => stores.secrets.get(secretKey(name));

  const view = createCompiledView({ secrets: stores.secrets, key: secretKey(compiledSecretName), log });
  const compiled = (): Compiled | undefined => view.current()?.compiled;

  const observedRegistry = createRegistrySpecView(stores.localRegistries);
  const registrySpec = (): LocalRegistrySpec | null => {
    const observed = observedRegistry();
    return observed.kind === "present" ? observed.spec : null;
  };
  const ownBundle = (): string | null => secretValue(secret(certificateAuthoritySecretName), "bundle.crt") || null;
  /** PEM by which clients trust the registry; null where the system's trust is enough, or it is not there yet. */
  const clientTrust = (spec: LocalRegistrySpec): string | null => {
    if (spec.external === undefined) return ownBundle();
    const name = spec.external.caSecretRef?.name;
    return name === undefined ? null : secretValue(secret(name), "ca.crt") || null;
  };
  const registryLogin = () => {
    const name = registrySpec()?.external?.credentialSecretRef?.name ?? registryAdminSecretName;
    return readAdminLogin(secret(name));
  };

  const book = createVerdictBook({ store: stores.verdicts, api, clock, log });
  const nodesNow = (): NodesNow => ({
    nodes: stores.nodes.list(),
    verdicts: book.verdicts(),
    contracts: book.contracts(),
    overdue: book.overdue(),
    nowMs: clock.nowMs(),
    replicaStartMs,
  });
  const plan = (): AccessPlan => planAccess(registrySpec(), book.auto());

  const clients = new Map<string, RegistryClient>();
  /** With the admin's login (or the external one): for listings, look-ups and the storage check. */
  const registryClient = (): RegistryClient | undefined => {
    const spec = registrySpec();
    if (spec === null || registryLogin() === undefined) return undefined;
    const origin = spec.external?.url ?? `https://${registryHost}`;
    const known = clients.get(origin);
    if (known !== undefined) return known;
    const created = createRegistryClient({
      origin: new URL(origin).origin,
      ca: () => {
        const current = registrySpec();
        return current === null ? undefined : (clientTrust(current) ?? undefined);
      },
      login: registryLogin,
      clock,
      random,
    });
    clients.clear();
    clients.set(origin, created);
    return created;
  };

  const catalogue = createCatalogue({ clock });
  const feed = createCatalogueFeed({
    catalogue,
    endpoints: () => {
      const spec = registrySpec();
      if (spec === null) return [];
      return spec.external === undefined
        ? gatewayEndpoints(stores.endpointSlices.list())
        : [hostPort(spec.external.url)];
    },
    hasStream: () => registrySpec()?.external?.credentialSecretRef === undefined,
    client: registryClient,
    stream: {
      serverName: () => {
        const url = registrySpec()?.external?.url;
        return url === undefined ? registryHost : new URL(url).hostname;
      },
      ca: () => {
        const spec = registrySpec();
        return spec === null ? undefined : (clientTrust(spec) ?? undefined);
      },
      token: needs.gatewayToken,
    },
    clock,
    random,
    log,
    metrics,
  });
  const presence = createPresence({
    catalogue,
    sharedRepositories: () => {
      const registry = compiled()?.registry;
      return registry?.login.kind === "fixed" ? null : (registry?.sharedRepositories ?? defaultSharedRepositories);
    },
  });

  const writer = createSecretWriter({ api });
  const ensure = createSecretEnsure({
    api,
    writer,
    namespaces: stores.namespaces,
    pullSecrets: stores.pullSecrets,
    compiled,
    readCompiled: async (signal) =>
      readCompiled(await api.get(resources.secrets, { namespace, name: compiledSecretName }, signal)),
    selection,
    limitMs: needs.ensureLimitMs,
    clock,
    log,
    metrics,
  });
  const confined = createConfinedAccounts({ accounts: stores.accounts, api, log });
  const world = createWorldBuilder({
    view,
    presence,
    gate: (placement) => gateVerdict(placement, compiled()?.registry?.mode ?? null, nodesNow()),
    confined,
  });
  /** The pods of contract checks go past the gate, which may be closed because of them. */
  const worldOf: typeof world = (observed) => {
    const isCheck = observed.name === checkNamespace || observed.name === checkOtherNamespace;
    return isCheck ? { ...world(observed), gate: () => ({ kind: "open" }) } : world(observed);
  };
  const decide = createDecide({ ensure, namespaces: stores.namespaces, api, world: worldOf, clock });

  /** slipway-check's pull login, for the agents' own look by the runtime's path. */
  const checkLogin = () => {
    const login = compiled()?.registry?.login;
    const own = stores.namespaces.get(checkNamespace);
    // The gateway refuses the login of a namespace that is not opted in: agents are not to take that for a fault.
    if (login === undefined || own === undefined || !isOptedIn(own, selection)) return null;
    if (login.kind === "fixed") return { username: login.username, password: login.password };
    return deriveLogin(login.key, { purpose: "pull", namespace: checkNamespace, uid: own.uid });
  };
  const clusterIp = (): string | null => {
    const service = stores.services.list()[0];
    const address = (service?.spec as { clusterIP?: unknown } | undefined)?.clusterIP;
    return typeof address === "string" && address !== "" && address !== "None" ? address : null;
  };
  const orderBook = createOrderBook(({ runtime, lookCount }) => {
    const spec = registrySpec();
    return composeOrders({
      spec,
      registry: compiled()?.registry ?? null,
      plan: plan(),
      clusterIp: clusterIp(),
      caBundle: spec === null ? null : clientTrust(spec),
      checkLogin: checkLogin(),
      lookCount,
      runtime,
    });
  });
  const orders = (node: NodeIdentity): NodeOrders | undefined => {
    // Without complete caches an absent object may only be one that has not been read: agents keep what they have.
    if (stores.unsynced().length > 0 || observedRegistry().kind === "unknown") return undefined;
    const lookCount = book.contracts().get(node.name)?.looks ?? 0;
    return orderBook.of({ runtime: stores.nodes.get(node.name)?.runtime ?? null, lookCount });
  };
  const desk = createNodeDesk({ orders, note: book.note, clock, limit: pollLimit });

  // Whatever orders are made of wakes the agents that wait for other ones.
  const renewOrders = (): void => {
    orderBook.forget();
    desk.wake();
  };
  view.onChange(renewOrders);
  for (const store of [stores.localRegistries, stores.services, stores.secrets, stores.verdicts]) {
    store.onChange(renewOrders);
  }
  stores.nodes.onChange((name) => desk.wake(name));
  stores.namespaces.onChange((name) => {
    if (name === checkNamespace) renewOrders();
  });
  stores.endpointSlices.onChange(feed.wake);
  stores.localRegistries.onChange(feed.wake);

  return {
    ...needs,
    secret,
    view,
    compiled,
    observedRegistry,
    registrySpec,
    ownBundle,
    clientTrust,
    registryClient,
    book,
    nodesNow,
    plan,
    catalogue,
    feed,
    writer,
    ensure,
    confined,
    decide,
    desk,
    renewOrders,
    clusterIp,
  };
}

function hostPort(url: string): string {
  const { hostname, port } = new URL(url);
  return `${hostname}:${port || "443"}`;
}
