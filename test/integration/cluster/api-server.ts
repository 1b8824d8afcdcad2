import { type Clock, systemClock } from "../../../src/clock.ts";
import type { ClusterApi } from "../../../src/cluster/api.ts";
import { type ClusterTransport, createTransport } from "../../../src/cluster/client.ts";
import { createClusterApi } from "../../../src/cluster/kubernetes-api.ts";
import { resources } from "../../../src/cluster/resource.ts";
import { type ControlPlane, startControlPlane } from "../../../src/dev/control-plane.ts";
import { findControlPlanePrograms } from "../../../src/dev/programs.ts";
import { createLog } from "../../../src/log.ts";

/** A real API server, and ourselves as its administrator. */
export type RealApiServer = {
  readonly controlPlane: ControlPlane;
  readonly transport: ClusterTransport;
  readonly api: ClusterApi;
  /** A transport of another identity or through another door. */
  connect(kubeconfig: string, clock?: Clock): ClusterTransport;
  /** Makes a namespace of its own for one test. @returns its name */
  createNamespace(): Promise<string>;
  stop(): Promise<void>;
};

export const signal = AbortSignal.timeout(600_000);

export async function startRealApiServer(): Promise<RealApiServer> {
  const programs = await findControlPlanePrograms({ env: process.env, announce: () => {} });
  const controlPlane = await startControlPlane({ programs });
  const log = createLog({ level: "silent" });
  const opened: ClusterTransport[] = [];
  const connect = (kubeconfig: string, clock: Clock = systemClock): ClusterTransport => {
    const transport = createTransport({ kubeconfig, clock, random: Math.random, log });
    opened.push(transport);
    return transport;
  };
  const transport = connect(controlPlane.kubeconfigPath);
  const api = createClusterApi(transport);
  let namespaces = 0;
  return {
    controlPlane,
    transport,
    api,
    connect,
    async createNamespace() {
      const name = `test-${++namespaces}`;
      await api.create(resources.namespaces, { metadata: { name } }, { signal });
      return name;
    },
    async stop() {
      for (const transport of opened) await transport.close();
      await controlPlane.stop();
    },
  };
}
