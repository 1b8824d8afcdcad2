import type { TestContext } from "node:test";
import type { Cluster, KubernetesJson } from "../cluster.ts";

/**
 * Merges fields into the spec of LocalRegistry `default` and waits until it is Ready with them. After the test the spec
 * is what it was before, and Ready again.
 *
 * @param fields as `kubectl patch --type merge` takes them: null removes a field
 */
export async function changeLocalRegistry(
  t: TestContext,
  cluster: Cluster,
  fields: Readonly<Record<string, unknown>>,
): Promise<KubernetesJson> {
  const before = await cluster.get("localregistry", { name: "default" });
  t.after(async () => {
    const operations = [{ op: "replace", path: "/spec", value: before.spec }];
    await cluster.kubectl(["patch", "localregistry/default", "--type=json", "--patch", JSON.stringify(operations)]);
    await waitUntilReady(cluster);
  });
  await mergeSpec(cluster, fields);
  return cluster.get("localregistry", { name: "default" });
}

/** As changeLocalRegistry, a second time in one test. */
export async function mergeSpec(cluster: Cluster, fields: Readonly<Record<string, unknown>>): Promise<void> {
  const patch = JSON.stringify({ spec: fields });
  await cluster.kubectl(["patch", "localregistry/default", "--type=merge", "--patch", patch]);
  await waitUntilReady(cluster);
}

/** kubectl counts a condition only when it was found for the newest generation. A new pod may follow after it. */
export async function waitUntilReady(cluster: Cluster): Promise<void> {
  await cluster.wait("localregistry/default", "condition=Ready", { timeoutSeconds: 600 });
  const place = ["--namespace", "slipway-system", "--timeout=600s"];
  await cluster.kubectl(["rollout", "status", "deployment/registry", ...place]);
}
