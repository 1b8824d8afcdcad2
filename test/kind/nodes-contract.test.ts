import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { setMode } from "./access.ts";
import type { Cluster, KubernetesJson } from "./cluster.ts";
import { applyComponents } from "./components.ts";
import { kindTest } from "./harness.ts";

const component = fileURLToPath(new URL("../../manifests/components/contract-check", import.meta.url));
const place = ["--namespace", "slipway-contract"] as const;

/** @returns what the Job's pods printed: one that came before its login has ended, and another has tried again */
async function runJob(
  cluster: Cluster,
  condition: "Complete" | "Failed",
  patches: readonly object[] = [],
): Promise<string> {
  await applyComponents(cluster, { components: ["contract-check"], patches });
  await cluster.wait("job/contract-check", `condition=${condition}`, { namespace: place[1], timeoutSeconds: 900 });
  return cluster.kubectl(["logs", "--selector=job-name=contract-check", "--tail=-1", ...place]);
}

kindTest("the Job of the contract check says that every node pulls what a pod pushed", async ({ cluster, t }) => {
  t.after(() => cluster.kubectl(["delete", "-k", component, "--ignore-not-found", "--wait=false"]));
  await setMode(cluster, "Auto");
  const output = await runJob(cluster, "Complete");
  for (const node of await cluster.nodes()) {
    assert.match(output, new RegExp(`^${node} +passed .*slipway-contract-other was refused`, "m"));
  }
  assert.match(output, /the contract holds/);

  // A repository that its login may not push to: the Job fails at once and says why.
  await cluster.kubectl(["delete", "job", "contract-check", "--cascade=foreground", ...place]);
  const value = "registry.slipway-system.svc/somebody-else/contract";
  const target = { kind: "Job", name: "contract-check" };
  const patch = JSON.stringify([{ op: "replace", path: "/spec/template/spec/containers/0/env/0/value", value }]);
  const refused = await runJob(cluster, "Failed", [{ target, patch }]);
  assert.match(refused, /failed +LoginRefused +the registry refused the push of .*somebody-else/);
  const { status } = await cluster.get("job", { name: "contract-check", namespace: place[1] });
  const failed = status.conditions.find(({ type }: KubernetesJson) => type === "Failed");
  assert.equal(failed?.reason, "PodFailurePolicy", "a check that failed is not repeated");
});
