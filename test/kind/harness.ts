import { randomBytes } from "node:crypto";
import { type TestContext, test } from "node:test";
import { type Cluster, type KubernetesJson, openCluster } from "./cluster.ts";

export type KindTest = {
  readonly cluster: Cluster;
  readonly t: TestContext;
  /** A namespace name that no other test uses; what bears it is deleted after the test, and dumped if it fails. */
  namespaceName(hint: string): string;
  /** A short random word, for image names and tags. */
  word(): string;
};

/**
 * A test on the kind cluster of the suite, or on another one. When it fails, pods, events and logs of its namespaces go
 * to standard error before they are deleted.
 */
export function kindTest(
  name: string,
  body: (context: KindTest) => Promise<void>,
  open: () => Cluster = openCluster,
): void {
  test(name, async (t) => {
    const cluster = open();
    const namespaces: string[] = [];
    const word = () => randomBytes(4).toString("hex");
    const namespaceName = (hint: string) => {
      const namespace = `${hint}-${word()}`;
      namespaces.push(namespace);
      return namespace;
    };
    try {
      await body({ cluster, t, namespaceName, word });
    } catch (error) {
      process.stderr.write(`--- ${name}\n${await cluster.dump(namespaces)}\n---\n`);
      throw error;
    } finally {
      if (namespaces.length > 0) {
        await cluster.kubectl(["delete", "namespace", ...namespaces, "--ignore-not-found", "--wait=false"]);
      }
    }
  });
}

/** A Namespace as YAML, opted in. */
export function optedInNamespace(name: string, annotations: Readonly<Record<string, string>> = {}): string {
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Namespace",
    metadata: { name, labels: { "slipway.dev/inject": "enabled" }, annotations },
  });
}

/** Reasons of Events that must never show when credentials and references come in time. */
const pullFailures: ReadonlySet<string> = new Set([
  "ErrImagePull",
  "ImagePullBackOff",
  "FailedToRetrieveImagePullSecret",
  "InspectFailed",
  "ErrImageNeverPull",
]);

/**
 * The Events of a namespace that tell of a failed pull: by reason, or by the message of kubelet's reason `Failed`. Without
 * those of pods whose kubelet gave up on a Secret that was there before they were: the API server's node authorizer had
 * not heard of the pod yet, and kubelet waits a second and pulls without (kubernetes/kubernetes#117972 and #133269).
 */
export async function failedPulls(cluster: Cluster, namespace: string): Promise<readonly string[]> {
  const [events, pods, secrets] = await Promise.all([
    cluster.get("events", { namespace }),
    cluster.get("pods", { namespace }),
    cluster.get("secrets", { namespace }),
  ]);
  const createdOf = ({ items }: KubernetesJson, name: string): string | undefined =>
    items.find(({ metadata }: KubernetesJson) => metadata.name === name)?.metadata.creationTimestamp;
  const secretCreated = createdOf(secrets, "slipway-pull");
  const isKubeletsFault = (pod: string): boolean => {
    const podCreated = createdOf(pods, pod);
    if (podCreated === undefined || secretCreated === undefined || secretCreated > podCreated) return false;
    return events.items.some(
      ({ reason, involvedObject }: KubernetesJson) =>
        reason === "FailedToRetrieveImagePullSecret" && involvedObject?.name === pod,
    );
  };
  const told: string[] = [];
  for (const { reason, message, involvedObject } of events.items) {
    const inMessage = [...pullFailures].some((word) => String(message).includes(word));
    const backOff = reason === "BackOff" && String(message).includes("pulling image");
    const isFailure = pullFailures.has(reason) || inMessage || backOff;
    if (isFailure && !isKubeletsFault(involvedObject?.name)) {
      told.push(`${involvedObject?.name}: ${reason}: ${message}`);
    }
  }
  return told;
}
