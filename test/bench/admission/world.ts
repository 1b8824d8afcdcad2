import type { Registry } from "prom-client";
import type { Decision } from "../../../src/admission/decision.ts";
import type { AdmissionRequest } from "../../../src/admission/review.ts";
import { systemClock } from "../../../src/clock.ts";
import type { ClusterApi } from "../../../src/cluster/api.ts";
import { createMemoryStore } from "../../../src/cluster/memory-store.ts";
import type { Compiled } from "../../../src/config/compiled.ts";
import { createLog } from "../../../src/log.ts";
import { desiredPullSecret } from "../../../src/namespace/desired.ts";
import { createSecretEnsure } from "../../../src/namespace/ensure.ts";
import type { ObservedNamespace, ObservedSecret } from "../../../src/namespace/observed.ts";
import { optInSelection } from "../../../src/namespace/selection.ts";
import { gateVerdict } from "../../../src/node/gate.ts";
import { createCatalogue } from "../../../src/registry/catalogue.ts";
import { createPresence } from "../../../src/registry/presence.ts";
import { deriveState } from "../../../src/webhook/compiled-view.ts";
import { createDecide } from "../../../src/webhook/decide.ts";
import { createWorldBuilder } from "../../../src/webhook/world.ts";
import { registry } from "./review.ts";

const shop: ObservedNamespace = {
  name: "shop",
  uid: "b5f7d9f2-0a0e-4c0e-9a53-6f3cf3a3c0c1",
  labels: { "slipway.dev/inject": "enabled" },
  annotations: {},
  terminating: false,
};

const compiled: Compiled = {
  revision: 1,
  registry: {
    host: registry,
    names: [registry, `${registry}.cluster.local`],
    loopback: "127.0.0.1:7443",
    mode: "HostsToml",
    sharedRepositories: ["docker.io/library/**"],
    ca: null,
    login: { kind: "namespace", key: { generation: 1, secret: Buffer.alloc(32, 7).toString("base64") } },
  },
  credentials: [],
  rewrites: [{ name: "default", spec: { rules: [{ target: "local" }] }, inactive: [] }],
};

/** What serve puts behind /mutate, its stores filled by hand: every step of an admission, and no API server. */
export function createBenchDecide(
  metrics: Registry,
): (request: AdmissionRequest, deadlineMs: number) => Decision | Promise<Decision> {
  const log = createLog({ level: "silent" });
  const namespaces = createMemoryStore<ObservedNamespace>([["shop", shop]]);
  const catalogue = createCatalogue({ clock: systemClock });
  catalogue.markLive();
  for (let app = 0; app < 50; app++) {
    for (let minor = 0; minor < 7; minor++) {
      const digest = `sha256:${String(app * 7 + minor).padStart(64, "0")}`;
      catalogue.apply({
        type: "pushed",
        repository: `docker.io/library/app-${app}`,
        tag: `1.${minor}`,
        digest,
      } as never);
    }
  }
  const state = deriveState(compiled);
  const ensure = createSecretEnsure({
    api: unreachable,
    writer: { apply: refuse, remove: refuse } as never,
    namespaces,
    pullSecrets: createMemoryStore([["shop/slipway-pull", observedSecret()]]),
    compiled: () => compiled,
    readCompiled: refuse,
    selection: optInSelection,
    clock: systemClock,
    log,
    metrics,
  });
  const presence = createPresence({ catalogue, sharedRepositories: () => compiled.registry?.sharedRepositories ?? [] });
  const nodes = { nodes: [], verdicts: new Map(), nowMs: 0, replicaStartMs: 0 };
  const world = createWorldBuilder({
    view: { current: () => state },
    presence,
    gate: (placement) => gateVerdict(placement, "HostsToml", nodes),
    confined: { isConfined: () => false },
  });
  return createDecide({ ensure, namespaces, api: unreachable, world, clock: systemClock });
}

function observedSecret(): ObservedSecret {
  const desired = desiredPullSecret(compiled, shop);
  if (desired.kind !== "secret") throw new Error("there is nothing in the Secret");
  return {
    namespace: "shop",
    name: "slipway-pull",
    uid: "1",
    resourceVersion: "1",
    ours: true,
    deleting: false,
    revision: 1,
    contentHash: desired.secret.contentHash,
    namespaceUid: shop.uid,
    ownedDataKeys: [".dockerconfigjson"],
  };
}

const refuse = (): Promise<never> => Promise.reject(new Error("this benchmark asks no API server"));
const unreachable = { get: refuse } as unknown as ClusterApi;
