import { createServer, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { pipeline } from "node:stream/promises";
import { WebSocketHandler } from "@kubernetes/client-node/dist/web-socket-handler.js";
import type { Clock } from "../clock.ts";
import { SlipwayError } from "../errors.ts";
import type { Log } from "../log.ts";
import { type ClusterSource, loadKubeConfig } from "./kubeconfig.ts";
import { resourcePath, resources } from "./resource.ts";
import { createTunnel, type TunnelSocket } from "./tunnel.ts";

export type PortForward = {
  /**
   * A stream to a port of a pod; destroyed with SlipwayError TUNNEL_BROKEN when the tunnel breaks or goes silent.
   *
   * @throws SlipwayError TUNNEL_BROKEN when it cannot be opened
   */
  connect(namespace: string, pod: string, port: number): Promise<Duplex>;
  /**
   * Listens on 127.0.0.1 until the signal aborts; each connection gets a tunnel of its own and is closed with it, so
   * that a client's next attempt has a fresh one.
   *
   * @param pod a name, or a function that finds one anew for each connection (the pod may be replaced meanwhile)
   */
  listen(
    namespace: string,
    pod: string | (() => Promise<string>),
    port: number,
    signal: AbortSignal,
  ): Promise<{ readonly port: number }>;
};

export type PortForwardNeeds = ClusterSource & { readonly clock: Clock; readonly log: Log };

const openTimeoutMs = 15_000;

/**
 * Port forwarding through the API server, one WebSocket for each connection: no stream waits for another, and a tunnel
 * that kubelet has forgotten is found by pings instead of stalling (kubernetes/kubernetes#74551).
 *
 * @throws SlipwayError KUBECONFIG_INVALID
 * @see https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/ (portforward)
 */
export function createPortForward(needs: PortForwardNeeds): PortForward {
  const { clock, log } = needs;
  const handler = new WebSocketHandler(loadKubeConfig(needs));

  const connect = async (namespace: string, pod: string, port: number): Promise<Duplex> => {
    const path = resourcePath(resources.pods, { namespace, name: pod, subresource: `portforward?ports=${port}` });
    const where = `pod ${namespace}/${pod}, port ${port}`;
    const early: Frame[] = [];
    let onFrame = (frame: Frame): void => void early.push(frame);
    const opening: Promise<TunnelSocket> = handler.connect(path, null, (channel: number, data: Buffer) => {
      onFrame({ channel, data });
      return true;
    });
    const socket = await openInTime(opening, where, clock);
    const tunnel = createTunnel(socket, { clock, where });
    onFrame = tunnel.accept;
    for (const frame of early) tunnel.accept(frame);
    return tunnel.stream;
  };

  const relay = async (local: Socket, open: () => Promise<Duplex>): Promise<void> => {
    // A client that goes away before the tunnel stands is not worth a word.
    local.on("error", () => local.destroy());
    try {
      const remote = await open();
      await Promise.all([pipeline(local, remote), pipeline(remote, local)]);
    } catch (error) {
      log.debug({ err: error }, "a forwarded connection ended");
      local.destroy();
    }
  };

  return {
    connect,
    async listen(namespace, pod, port, signal) {
      signal.throwIfAborted();
      const locals = new Set<Socket>();
      const server = createServer({ noDelay: true }, (local) => {
        locals.add(local);
        local.on("close", () => locals.delete(local));
        void relay(local, async () => connect(namespace, typeof pod === "string" ? pod : await pod(), port));
      });
      const listening = Promise.withResolvers<void>();
      server.once("error", listening.reject).listen(0, "127.0.0.1", listening.resolve);
      await listening.promise;
      const stop = () => {
        server.close();
        for (const local of locals) local.destroy();
      };
      signal.addEventListener("abort", stop, { once: true });
      const address = server.address();
      return { port: typeof address === "object" && address !== null ? address.port : 0 };
    },
  };
}

type Frame = { readonly channel: number; readonly data: Buffer };

async function openInTime(opening: Promise<TunnelSocket>, where: string, clock: Clock): Promise<TunnelSocket> {
  const timer = new AbortController();
  const late = clock.sleep(openTimeoutMs, timer.signal).then(
    () => {
      opening.then((socket) => socket.terminate()).catch(() => undefined); // Reported below as too late.
      throw new SlipwayError("TUNNEL_BROKEN", `${where}: not open after ${openTimeoutMs / 1000} s`);
    },
    () => opening,
  );
  try {
    return await Promise.race([opening, late]);
  } catch (error) {
    if (error instanceof SlipwayError) throw error;
    throw new SlipwayError("TUNNEL_BROKEN", `${where}: ${messageOf(error)}`, { cause: error });
  } finally {
    timer.abort();
  }
}

/** ws rejects with an event that has a message. */
function messageOf(error: unknown): string {
  const { message } = (error ?? {}) as { readonly message?: unknown };
  return typeof message === "string" ? message : "it cannot be opened";
}
