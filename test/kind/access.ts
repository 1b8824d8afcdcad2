import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { type Cluster, execute, type KubernetesJson } from "./cluster.ts";

const main = fileURLToPath(new URL("../../src/main.ts", import.meta.url));

export const registry = "registry.slipway-system.svc";
/** certs.d of containerd's standard layout, one folder for each name of the registry. */
export const certsFolder = "/etc/containerd/certs.d";

export type ProvenMode = "HostsToml" | "LoopbackProxy";

/** What references to the local registry begin with once a pod was admitted. */
export const hostIn: Readonly<Record<ProvenMode, string>> = {
  HostsToml: registry,
  LoopbackProxy: "127.0.0.1:7443",
};

/** What a user types. @returns the reference by which the image can be pulled */
export async function push(cluster: Cluster, image: string, name: string): Promise<string> {
  const args = [main, "images", "push", image, name, "--kubeconfig", cluster.kubeconfig];
  return (await execute(process.execPath, args)).trim();
}

/** `slipway nodes`, whatever it finds. */
export async function nodeRows(cluster: Cluster): Promise<readonly KubernetesJson[]> {
  const script = '"$0" "$@" || test $? = 1';
  const args = [main, "nodes", "--kubeconfig", cluster.kubeconfig, "--output", "json"];
  return JSON.parse(await execute("sh", ["-c", script, process.execPath, ...args]));
}

/** Looks until something is there; fails with what was last seen. */
export async function until<T>(what: string, seconds: number, look: () => Promise<T | undefined>): Promise<T> {
  const endMs = Date.now() + seconds * 1_000;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    assert.ok(Date.now() < endMs, `did not happen in ${seconds} s: ${what}`);
    await delay(500);
  }
}

/** Sets `nodeAccess` and waits until every node passes in that mode, by its agent and by its contract check. */
export async function setMode(cluster: Cluster, mode: ProvenMode | "Auto", expected = mode): Promise<void> {
  const patch = JSON.stringify({ spec: { nodeAccess: mode } });
  await cluster.kubectl(["patch", "localregistry", "default", "--type", "merge", "--patch", patch]);
  const passing = { mode: expected === "Auto" ? "HostsToml" : expected, passed: "yes", contract: "passed" };
  let seen = "";
  await until(`every node passes in ${expected}`, 180, async () => {
    const rows = await nodeRows(cluster);
    seen = JSON.stringify(rows);
    const isWell = rows.every((row) => Object.entries(passing).every(([field, value]) => row[field] === value));
    return isWell && rows.length > 0 ? true : undefined;
  }).catch((error: Error) => assert.fail(`${error.message}; found ${seen}`));
}

/** A pod that may run on one node only, whatever that node's state. */
export function podOn(
  node: string,
  pod: {
    readonly name: string;
    readonly namespace: string;
    readonly image: string;
    readonly imagePullPolicy?: string;
    readonly command?: readonly string[];
  },
): string {
  const { name, namespace, image, imagePullPolicy = "Always", command = ["sleep", "3600"] } = pod;
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace },
    spec: {
      nodeSelector: { "kubernetes.io/hostname": node },
      tolerations: [{ key: "node-role.kubernetes.io/control-plane", operator: "Exists" }],
      terminationGracePeriodSeconds: 1,
      restartPolicy: "Never",
      containers: [{ name: "app", image, imagePullPolicy, command }],
    },
  });
}
