import { eventually } from "./eventually.ts";
import { type KindTest, kindTest } from "./harness.ts";
import { makeImage } from "./image.ts";
import { assertStarted, oneFile } from "./one-file.ts";
import { waitForFailedPull } from "./pod.ts";
import { pushImage, registryHost } from "./slipway.ts";

/** Many files at once, and one that came too early. */
export function proveManyFiles(): void {
  kindTest("ten files at once start, and an image that was pushed a second ago", startTen);
  kindTest("a pod that failed before its namespace was labelled is reported, and a restart repairs it", repairLate);
}

async function startTen(test: KindTest): Promise<void> {
  const { cluster, t } = test;
  const local = `slipway-test/${test.word()}:1`;
  await makeImage(t, local, test.word());
  const namespaces = Array.from({ length: 10 }, () => test.namespaceName("ten"));
  for (const namespace of namespaces) await pushImage(cluster, local, `${namespace}/app:1.0`);
  const files = namespaces.map((namespace) => oneFile(namespace, `${registryHost}/${namespace}/app:1.0`));
  await Promise.all(files.map((file) => cluster.apply(file)));
  for (const namespace of namespaces) await assertStarted(cluster, namespace);
}

async function repairLate(test: KindTest): Promise<void> {
  const { cluster, t } = test;
  const namespace = test.namespaceName("late");
  const local = `slipway-test/${test.word()}:1`;
  await makeImage(t, local, test.word());
  const reference = await pushImage(cluster, local, `${namespace}/app:1.0`);
  await cluster.apply(oneFile(namespace, reference, { labels: { "example.com/not": "yet" } }));
  await waitForFailedPull(cluster, namespace, /Failed to pull image/);
  await cluster.kubectl(["label", "namespace", namespace, "slipway.dev/inject=enabled"]);
  await eventually("the pod is reported", async () => {
    const told = ["get", "events.events.k8s.io", "--namespace", namespace, "--field-selector=reason=PodNotInjected"];
    return (await cluster.kubectl([...told, "-o", "name"])).trim() || undefined;
  });
  await cluster.kubectl(["rollout", "restart", "deployment/app", "--namespace", namespace]);
  await cluster.kubectl(["rollout", "status", "deployment/app", "--namespace", namespace, "--timeout=300s"]);
}
