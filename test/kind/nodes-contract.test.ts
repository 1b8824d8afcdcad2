import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { setMode } from "./access.ts";
import type { Cluster } from "./cluster.ts";
import { kindTest } from "./harness.ts";

const manifests = fileURLToPath(new URL("../../manifests", import.meta.url));
const place = ["--namespace", "slipway-contract"] as const;

/** As a user would write it. @returns the folder of the kustomization */
async function kustomization(after: (work: () => Promise<void>) => void, patches: readonly object[] = []) {
  const folder = await mkdtemp(join(tmpdir(), "slipway-contract-"));
  after(() => rm(folder, { recursive: true, force: true }));
  const path = (name: string) => relative(folder, `${manifests}/${name}`);
  const components = ["push", "contract-check"].map((name) => path(`components/${name}`));
  const content = { resources: [path("overlays/default")], components, patches };
  await writeFile(join(folder, "kustomization.yaml"), JSON.stringify(content));
  return folder;
}

/** @returns what the Job's pods printed: one that came before its login has ended, and another has tried again */
async function runJob(cluster: Cluster, folder: string, condition: "Complete" | "Failed"): Promise<string> {
  await cluster.kubectl(["apply", "-k", folder]);
  await cluster.wait("job/contract-check", `condition=${condition}`, { namespace: place[1], timeoutSeconds: 240 });
  return cluster.kubectl(["logs", "--selector=job-name=contract-check", "--tail=-1", ...place]);
}

async function takeAway(cluster: Cluster): Promise<void> {
  await cluster.kubectl(["delete", "-k", `${manifests}/components/contract-check`, "--ignore-not-found"]);
  await cluster.kubectl(["apply", "-k", `${manifests}/overlays/default`]);
  await cluster.kubectl(["rollout", "status", "deployment/slipway", "--namespace=slipway-system", "--timeout=180s"]);
  const rights = ["clusterrole/slipway-serve-push", "clusterrolebinding/slipway-serve-push"];
  await cluster.kubectl(["delete", ...rights, "--ignore-not-found"]);
}

kindTest("the Job of the contract check says that every node pulls what a pod pushed", async ({ cluster, t }) => {
  t.after(() => takeAway(cluster));
  await setMode(cluster, "Auto");
  const folder = await kustomization((work) => t.after(work));
  const output = await runJob(cluster, folder, "Complete");
  for (const node of await cluster.nodes()) {
    assert.match(output, new RegExp(`^${node} +passed .*slipway-contract-other was refused`, "m"));
  }
  assert.match(output, /the contract holds/);

  // A repository that its login may not push to: the Job fails at once and says why.
  await cluster.kubectl(["delete", "job", "contract-check", "--cascade=foreground", ...place]);
  const value = "registry.slipway-system.svc/somebody-else/contract";
  const target = { kind: "Job", name: "contract-check" };
  const patch = JSON.stringify([{ op: "replace", path: "/spec/template/spec/containers/0/env/0/value", value }]);
  const refused = await runJob(cluster, await kustomization((work) => t.after(work), [{ target, patch }]), "Failed");
  assert.match(refused, /failed +LoginRefused +the registry refused the push of .*somebody-else/);
  const { items } = await cluster.get("pods", { namespace: place[1] });
  assert.equal(items.length, 1, "a check that failed is not repeated");
});
