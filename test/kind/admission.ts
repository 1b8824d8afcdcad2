import assert from "node:assert/strict";
import { type Cluster, execute, type KubernetesJson } from "./cluster.ts";
import { eventually } from "./eventually.ts";
import { type PodWish, podManifest } from "./pod.ts";

/** A server-side dry run. @returns the image that a pod would get, and the warnings that kubectl showed */
export async function dryRun(
  cluster: Cluster,
  pod: PodWish,
): Promise<{ readonly image: string; readonly warnings: string }> {
  const script =
    'kubectl --kubeconfig "$0" create --dry-run=server -f - -o jsonpath="{.spec.containers[0].image}" 2>&1';
  const output = (await execute("sh", ["-c", script, cluster.kubeconfig], podManifest(pod))).trim().split("\n");
  const warnings = output.filter((line) => line.startsWith("Warning:"));
  return { image: output.filter((line) => !line.startsWith("Warning:")).join(""), warnings: warnings.join("\n") };
}

/**
 * Waits until every replica of serve gives a pod this image. Each has its own memory of catalogue, settings and nodes,
 * and the API server asks whichever it likes: one replica's answer says nothing about the next pod's.
 *
 * @param image what the first container's reference is to become, or to stay
 */
export async function everyReplicaGives(cluster: Cluster, pod: PodWish, image: string): Promise<void> {
  let seen: readonly string[] = [];
  await eventually(`every replica of serve gives ${pod.image} as ${image}`, async () => {
    seen = await imagesOfReplicas(cluster, pod);
    return seen.length > 0 && seen.every((each) => each === image) ? true : undefined;
  }).catch((error: Error) => assert.fail(`${error.message}: ${seen.join(", ")} (${error.cause})`));
}

/** Asks each replica as the API server would, from the node on which that runs. */
async function imagesOfReplicas(cluster: Cluster, pod: PodWish): Promise<readonly string[]> {
  const replicas = ["--namespace", "slipway-system", "--selector", "app.kubernetes.io/component=serve"];
  const { items } = JSON.parse(await cluster.kubectl(["get", "pods", ...replicas, "-o", "json"]));
  const serving = items.filter(({ metadata, status }: KubernetesJson) => {
    const ready = status.conditions?.find(({ type }: KubernetesJson) => type === "Ready");
    return metadata.deletionTimestamp === undefined && ready?.status === "True";
  });
  return Promise.all(serving.map(({ status }: KubernetesJson) => ask(cluster, status.podIP, pod)));
}

async function ask(cluster: Cluster, address: string, pod: PodWish): Promise<string> {
  const url = `https://${address}:8443/mutate?timeout=5s`;
  const curl = ["curl", "--silent", "--show-error", "--fail", "--insecure", "--max-time", "10"];
  const send = [...curl, "--header", "content-type: application/json", "--data-binary", "@-", url];
  const node = ["exec", "--interactive", `${cluster.name}-control-plane`];
  const { response } = JSON.parse(await execute("docker", [...node, ...send], review(pod)));
  const patch: readonly KubernetesJson[] = JSON.parse(Buffer.from(response.patch ?? "W10=", "base64").toString());
  return patch.findLast(({ path }) => path === "/spec/containers/0/image")?.value ?? pod.image;
}

function review(pod: PodWish): string {
  const kind = { group: "", version: "v1", kind: "Pod" };
  const resource = { group: "", version: "v1", resource: "pods" };
  return JSON.stringify({
    apiVersion: "admission.k8s.io/v1",
    kind: "AdmissionReview",
    request: {
      uid: "6c8f1b0e-0000-4000-8000-000000000000",
      ...{ kind, resource, requestKind: kind, requestResource: resource },
      ...{ name: pod.name, namespace: pod.namespace, operation: "CREATE" },
      userInfo: { username: "kubernetes-admin" },
      object: JSON.parse(podManifest(pod)),
      oldObject: null,
      dryRun: true,
      options: { apiVersion: "meta.k8s.io/v1", kind: "CreateOptions" },
    },
  });
}
