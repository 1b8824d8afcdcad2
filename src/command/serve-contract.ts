import { randomBytes } from "node:crypto";
import type { LocalRegistrySpec, NodeAccessMode } from "../config/local-registry.ts";
import { checkNamespace, checkOtherNamespace, registryHost } from "../config/names.ts";
import { deriveLogin, type Login } from "../credential/login.ts";
import { isOptedIn } from "../namespace/selection.ts";
import { type ContractCheck, createContractCheck } from "../node/contract.ts";
import { ensureProbeImage, removeLeftovers } from "../node/contract-leftovers.ts";
import { slipwayPlace } from "../node/contract-pod.ts";
import { type ContractTarget, createContractRun } from "../node/contract-run.ts";
import { contractKey } from "../node/contract-verdict.ts";
import { createRegistryClient, type RegistryClient } from "../registry/client.ts";
import { readBundle } from "../tls/certificate.ts";
import type { ServeReplica } from "./serve-replica.ts";

/**
 * The contract check of the leader. The leader is itself the pod that pushes: by the same name that the nodes pull by,
 * over the Service, with the push login of slipway-check, which is derived in memory and written nowhere. So no pod
 * with a push Secret and a program is needed, and serve gets no further right.
 */
export function createServeContract(replica: ServeReplica): ContractCheck {
  const { api, clock, random, log, metrics, events, book, stores, selection } = replica;
  const run = randomBytes(4).toString("hex");

  /** A registry whose login is fixed knows no namespaces: that login has to be good for the push, too. */
  const pushLogin = (): Login | undefined => {
    const login = replica.compiled()?.registry?.login;
    const uid = stores.namespaces.get(checkNamespace)?.uid;
    if (login === undefined || uid === undefined) return undefined;
    if (login.kind === "fixed") return { username: login.username, password: login.password };
    return deriveLogin(login.key, { purpose: "push", namespace: checkNamespace, uid });
  };
  const areOptedIn = (): boolean =>
    [checkNamespace, checkOtherNamespace].every((name) => {
      const namespace = stores.namespaces.get(name);
      return namespace !== undefined && isOptedIn(namespace, selection);
    });

  let client: { readonly origin: string; readonly client: RegistryClient } | undefined;
  const clientOf = (origin: string): RegistryClient => {
    if (client?.origin === origin) return client.client;
    client?.client.close();
    const trust = () => {
      const spec = replica.registrySpec();
      return spec === null ? undefined : (replica.clientTrust(spec) ?? undefined);
    };
    client = { origin, client: createRegistryClient({ origin, ca: trust, login: pushLogin, clock, random }) };
    return client.client;
  };

  let fingerprints: { readonly pem: string; readonly of: readonly string[] } | undefined;
  const fingerprintsOf = (pem: string): readonly string[] => {
    if (fingerprints?.pem !== pem) fingerprints = { pem, of: readBundle(pem).map(({ fingerprint }) => fingerprint) };
    return fingerprints.of;
  };

  /** The mode in force, once the webhook acts on it; undefined where no node is to have access. */
  const modeInForce = (): NodeAccessMode | undefined => {
    const mode = replica.compiled()?.registry?.mode ?? null;
    if (mode === null || mode === "None" || mode !== replica.plan().mode) return undefined;
    return mode;
  };
  /** Where the registry is for nodes, and for this pod. */
  const placesOf = (spec: LocalRegistrySpec): { readonly server: string; readonly origin: string } | undefined => {
    const clusterIp = replica.clusterIp();
    if (spec.external === undefined && clusterIp === null) return undefined;
    const external = spec.external === undefined ? undefined : new URL(spec.external.url).origin;
    return { server: external ?? clusterIp ?? "", origin: external ?? `https://${registryHost}` };
  };

  const target = (): ContractTarget | undefined => {
    const spec = replica.registrySpec();
    const registry = replica.compiled()?.registry ?? null;
    if (spec === null || registry === null || spec.maintenance?.readOnly === true) return undefined;
    const mode = modeInForce();
    const places = placesOf(spec);
    if (mode === undefined || places === undefined || !areOptedIn() || pushLogin() === undefined) return undefined;
    const { host, loopback } = registry;
    // In mode External a node knows the canonical name, and the Service's one is none of its business.
    const names = mode === "External" ? [host] : [...new Set([new URL(places.origin).host, host])];
    const cas = fingerprintsOf(replica.clientTrust(spec) ?? "");
    return {
      mode,
      names,
      cas,
      key: contractKey({ mode, names, cas, server: places.server, loopback }),
      isolates: spec.external === undefined,
      registry: clientOf(places.origin),
    };
  };

  const contract = createContractCheck({
    world: replica.nodesNow,
    target,
    book,
    run: createContractRun({ place: slipwayPlace, api, run, randomBytes, clock, log }),
    tidy: async ({ registry }, signal) => {
      await ensureProbeImage(registry, signal);
      await removeLeftovers({ api, run }, registry, signal);
    },
    events,
    clock,
    random,
    log,
    metrics,
  });
  for (const store of [stores.nodes, stores.verdicts, stores.localRegistries, stores.services]) {
    store.onChange(contract.touch);
  }
  replica.view.onChange(contract.touch);
  return contract;
}
