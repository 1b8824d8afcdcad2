import assert from "node:assert/strict";
import type { Cluster, KubernetesJson } from "./cluster.ts";
import { failedPulls } from "./harness.ts";

const optIn = { "slipway.dev/inject": "enabled" };

/**
 * One file: a Namespace and a Deployment in it.
 *
 * @param file.labels of the Namespace; opted in unless given
 */
export function oneFile(
  namespace: string,
  image: string,
  file: { readonly replicas?: number; readonly labels?: object; readonly pullPolicy?: "Always" } = {},
): string {
  const labels = { app: "app" };
  const policy = file.pullPolicy === undefined ? {} : { imagePullPolicy: file.pullPolicy };
  const container = { name: "app", image, ...policy, command: ["sleep", "3600"] };
  const deployment = {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: "app", namespace },
    spec: {
      replicas: file.replicas ?? 1,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { terminationGracePeriodSeconds: 1, containers: [container] } },
    },
  };
  const owner = { apiVersion: "v1", kind: "Namespace", metadata: { name: namespace, labels: file.labels ?? optIn } };
  return `${JSON.stringify(owner)}\n---\n${JSON.stringify(deployment)}\n`;
}

/** Waits for the Deployment of the file. @returns its pods */
export async function assertStarted(cluster: Cluster, namespace: string): Promise<readonly KubernetesJson[]> {
  await cluster.kubectl(["rollout", "status", "deployment/app", "--namespace", namespace, "--timeout=300s"]);
  assert.deepEqual(await failedPulls(cluster, namespace), []);
  const { items } = await cluster.get("pods", { namespace });
  return items;
}
