import { readBundle } from "../tls/certificate.ts";
import type { DropIn } from "./drop-in.ts";
import type { LoopbackProxy } from "./loopback-proxy.ts";
import type { OrderedRegistry } from "./protocol.ts";
import { probeRegistry } from "./registry-probe.ts";
import { type Failure, failedFinding, passedFinding, type Strategy, type StrategyCheck } from "./strategy.ts";

/** What is under way when the proxy stops may take so long to end. */
const graceMs = 10_000;

/**
 * The agent itself on the loopback of the host. It passes when the registry answers through it, over TLS that was
 * verified on the way.
 *
 * @param needs.dropIn CRI-O's file, where the layout has one
 */
export function createLoopbackStrategy(needs: {
  readonly proxy: LoopbackProxy;
  readonly dropIn: DropIn | undefined;
}): Strategy {
  let registry: OrderedRegistry | undefined;

  async function bring(ordered: OrderedRegistry): Promise<Failure | undefined> {
    const listening = await needs.proxy.serve(ordered);
    const written = await needs.dropIn?.write(ordered.loopbackPort);
    return listening ?? written;
  }

  /** The way to the registry first: what is wrong there is said better without the proxy in between. */
  async function probe(ordered: OrderedRegistry, signal: AbortSignal): Promise<Failure | undefined> {
    const { server, serverName, ca, loopbackPort } = ordered;
    const kind = ordered.kind ?? "hosted";
    const direct = await probeRegistry({ url: server, serverName, ca, kind }, signal);
    return direct ?? probeRegistry({ url: `http://127.0.0.1:${loopbackPort}`, ca: null, kind }, signal);
  }

  return {
    mode: "LoopbackProxy",
    async apply({ registry: ordered }) {
      registry = ordered;
      await bring(ordered);
    },
    async check(signal): Promise<StrategyCheck> {
      if (registry === undefined) {
        const failure = { reason: "NotOrdered", message: "there is no registry to reach" };
        return { finding: failedFinding("LoopbackProxy", failure), trustedCas: [], usesCa: true };
      }
      const ordered = registry;
      const failure = (await bring(ordered)) ?? (await probe(ordered, signal));
      const finding =
        failure === undefined
          ? passedFinding("LoopbackProxy", `127.0.0.1:${ordered.loopbackPort} leads to ${ordered.server}`)
          : failedFinding("LoopbackProxy", failure);
      const trustedCas = readBundle(ordered.ca ?? "").map((certificate) => certificate.fingerprint);
      const target = { url: `http://127.0.0.1:${ordered.loopbackPort}`, ca: null, kind: ordered.kind ?? "hosted" };
      return { finding, trustedCas, usesCa: ordered.ca !== null, target };
    },
    async remove() {
      registry = undefined;
      await needs.proxy.close(graceMs);
      const left = await needs.dropIn?.remove();
      return left === undefined ? { kind: "removed" } : { kind: "left", message: left.message };
    },
    close: () => needs.proxy.close(graceMs),
  };
}
