import { readBundle } from "../tls/certificate.ts";
import { judgeConfigPath } from "./containerd-config.ts";
import { readContainerdConfig } from "./containerd-files.ts";
import { type Disk, errorCode } from "./disk.ts";
import { createHostFolders, type HostFolders } from "./host-folder.ts";
import type { OrderedRegistry } from "./protocol.ts";
import { probeRegistry } from "./registry-probe.ts";
import {
  type Failure,
  failedFinding,
  passedFinding,
  type Strategy,
  type StrategyCheck,
  type StrategyOrder,
} from "./strategy.ts";
import { describeWriteFault } from "./write-fault.ts";

export type HostsTomlNeeds = {
  readonly disk: Disk;
  /** certs.d as mounted into this process, and as the container runtime sees it. */
  readonly certs: { readonly mounted: string; readonly path: string };
  /** containerd's main configuration file, likewise. */
  readonly config: { readonly mounted: string; readonly path: string };
};

/**
 * containerd's certs.d: one folder for each name of the registry, pointing at the Service's address with our CA. The
 * runtime reads it at each pull, so nothing is restarted.
 */
export function createHostsTomlStrategy(needs: HostsTomlNeeds): Strategy {
  const { disk, certs } = needs;
  const folders: HostFolders = createHostFolders({ disk, root: certs.mounted, runtimeRoot: certs.path });
  let order: StrategyOrder | undefined;

  /** Brings every folder to the order. One that fails does not keep the others from being written. */
  async function heal(registry: OrderedRegistry): Promise<Failure | undefined> {
    const failures: Failure[] = [];
    const attempt = async (path: string, work: () => Promise<Failure | undefined>) => {
      try {
        const failure = await work();
        if (failure !== undefined) failures.push(failure);
      } catch (error) {
        failures.push(describeWriteFault(error, path));
      }
    };
    for (const host of registry.names) {
      await attempt(`${certs.path}/${host}`, async () => {
        const outcome = await folders.write(host, registry);
        return outcome.kind === "foreign" ? foreignFile(outcome.path) : undefined;
      });
    }
    await attempt(certs.path, async () => {
      await folders.removeAllBut(new Set(registry.names));
      return undefined;
    });
    return failures[0];
  }

  async function judgeRuntime({ runtimeName, runtimeVersion }: StrategyOrder): Promise<Failure | undefined> {
    if (runtimeName !== null && runtimeName !== "containerd") {
      const message = `the runtime is ${runtimeName}, which does not read containerd's files; use LoopbackProxy`;
      return { reason: "RuntimeUnsupported", message };
    }
    try {
      const config = await readContainerdConfig(disk, needs.config);
      return judgeConfigPath(config, { certsPath: certs.path, version: runtimeVersion ?? undefined });
    } catch (error) {
      const detail = errorCode(error) === "" && error instanceof Error ? error.message : errorCode(error);
      return { reason: "ConfigUnreadable", message: `${needs.config.path} cannot be read (${detail})` };
    }
  }

  async function trustedCas(registry: OrderedRegistry): Promise<readonly string[]> {
    const texts = await Promise.all(registry.names.map((host) => readCa(host)));
    const sets = texts.map((text) => new Set(readBundle(text).map((certificate) => certificate.fingerprint)));
    const [first = new Set<string>(), ...others] = sets;
    return [...first].filter((fingerprint) => others.every((set) => set.has(fingerprint)));
  }

  async function readCa(host: string): Promise<string> {
    try {
      return (await folders.readCa(host)) ?? "";
    } catch (error) {
      // What cannot be read is not in use; the finding of the write says why.
      if (errorCode(error) === "") throw error;
      return "";
    }
  }

  return {
    mode: "HostsToml",
    async apply(next) {
      order = next;
      await heal(next.registry);
    },
    async check(signal): Promise<StrategyCheck> {
      if (order === undefined) {
        const failure = { reason: "NotOrdered", message: "there is no registry to reach" };
        return { finding: failedFinding("HostsToml", failure), trustedCas: [], usesCa: true };
      }
      const { registry } = order;
      const healed = await heal(registry);
      const target = { url: registry.server, ca: registry.ca, kind: registry.kind ?? "hosted" } as const;
      const failure = (await judgeRuntime(order)) ?? healed ?? (await probeRegistry(target, signal));
      const finding =
        failure === undefined
          ? passedFinding("HostsToml", `${registry.names.length} names in ${certs.path} point at ${registry.server}`)
          : failedFinding("HostsToml", failure);
      return { finding, trustedCas: await trustedCas(registry), usesCa: registry.ca !== null, target };
    },
    async remove() {
      order = undefined;
      try {
        await folders.removeAllBut(new Set());
        return { kind: "removed" };
      } catch (error) {
        return { kind: "left", message: describeWriteFault(error, certs.path).message };
      }
    },
  };
}

function foreignFile(path: string): Failure {
  const message = `${path} is not Slipway's and stays as it is; remove it, or use another name or LoopbackProxy`;
  return { reason: "ForeignFile", message };
}
