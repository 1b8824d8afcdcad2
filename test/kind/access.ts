import assert from "node:assert/strict";
import type { Cluster } from "./cluster.ts";
import { eventually } from "./eventually.ts";
import { nodeRows, registryHost } from "./slipway.ts";

/** certs.d of containerd's standard layout, one folder for each name of the registry. */
export const certsFolder = "/etc/containerd/certs.d";

export type ProvenMode = "HostsToml" | "LoopbackProxy";

/** What references to the local registry begin with once a pod was admitted. */
export const hostIn: Readonly<Record<ProvenMode, string>> = {
  HostsToml: registryHost,
  LoopbackProxy: "127.0.0.1:7443",
};

/** Sets `nodeAccess` and waits until every node passes in that mode, by its agent and by its contract check. */
export async function setMode(cluster: Cluster, mode: ProvenMode | "Auto", expected = mode): Promise<void> {
  await orderMode(cluster, mode);
  await everyNodePasses(cluster, expected === "Auto" ? "HostsToml" : expected);
}

export async function orderMode(cluster: Cluster, nodeAccess: ProvenMode | "Auto"): Promise<void> {
  const patch = JSON.stringify({ spec: { nodeAccess } });
  await cluster.kubectl(["patch", "localregistry", "default", "--type", "merge", "--patch", patch]);
}

/** A contract check that came to no result, e.g. because a node was slow, is made again after a minute. */
export async function everyNodePasses(cluster: Cluster, mode: ProvenMode): Promise<void> {
  const passing = { mode, passed: "yes", contract: "passed" };
  let seen = "";
  await eventually(
    `every node passes in ${mode}`,
    async () => {
      const rows = await nodeRows(cluster);
      seen = JSON.stringify(rows);
      const isWell = rows.every((row) => Object.entries(passing).every(([field, value]) => row[field] === value));
      return isWell && rows.length > 0 ? true : undefined;
    },
    { withinMs: 600_000 },
  ).catch((error: Error) => assert.fail(`${error.message}; found ${seen}`));
}
