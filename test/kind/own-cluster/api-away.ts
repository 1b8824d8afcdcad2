import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import type { Login } from "../../../src/credential/login.ts";
import { manifestType } from "../../integration/gateway/registry-client.ts";
import { hostIn } from "../access.ts";
import { everyReplicaGives } from "../admission.ts";
import type { Cluster } from "../cluster.ts";
import { eventually } from "../eventually.ts";
import { type KindTest, kindTest, optedInNamespace } from "../harness.ts";
import { startPod } from "../pod.ts";
import {
  askAs,
  type DirectClient,
  openNodePort,
  readAcceptedLogin,
  readAdminLogin,
} from "../registry/direct-client.ts";
import { findContainerProcess } from "../registry/registry-pod.ts";
import { pushImage, registryHost } from "../slipway.ts";

const inLoopback = (image: string) => image.replace(registryHost, hostIn.LoopbackProxy);
const awayMs = 60_000;

/** Stops the API server's process as it is, until what it gives back is called. */
async function pauseApiServer(cluster: Cluster): Promise<() => Promise<void>> {
  const node = `${cluster.name}-control-plane`;
  const pod = await cluster.get("pod", { name: `kube-apiserver-${node}`, namespace: "kube-system" });
  const { pid } = await findContainerProcess(cluster, pod, "kube-apiserver");
  await cluster.onNode(node, ["kill", "-STOP", pid]);
  return async () => {
    await cluster.onNode(node, ["kill", "-CONT", pid]);
  };
}

async function pulls(client: DirectClient, login: Login, repository: string): Promise<number> {
  const path = `/v2/${repository}/manifests/1`;
  return (await askAs(client, login, `repository:${repository}:pull`, { method: "HEAD", path })).status;
}

export function proveAbsence(open: () => Cluster): void {
  kindTest("the API server is away for a minute: logins that need no review go on", stayAway, open);
}

async function stayAway(test: KindTest): Promise<void> {
  const { cluster, t } = test;
  const client = await openNodePort(t, cluster);
  const namespace = test.namespaceName("away");
  await cluster.apply(optedInNamespace(namespace));
  const image = await pushImage(cluster, "busybox:1.37", `${namespace}/app:1`);
  const shared = await pushImage(cluster, "busybox:1.37", `docker.io/library/slipway-${test.word()}:1`);
  const repositories = [image, shared].map((each) => each.slice(`${registryHost}/`.length, -":1".length));
  const [repository = ""] = repositories;
  const logins = {
    "pull login": await readAcceptedLogin(client, cluster, { namespace }),
    admin: await readAdminLogin(cluster),
  };
  const args = ["create", "token", "default", "--audience", "slipway", "--namespace", namespace];
  const unknown = { username: "any", password: (await cluster.kubectl(args)).trim() };

  const resume = await pauseApiServer(cluster);
  const endMs = performance.now() + awayMs;
  let rounds = 0;
  try {
    // One that needs a review is told that it cannot be had now, not that it is refused.
    await assert.rejects(client.token(unknown, `repository:${repository}:pull`), /no token: 503/);
    while (performance.now() < endMs) {
      for (const [who, login] of Object.entries(logins)) {
        for (const each of repositories) assert.equal(await pulls(client, login, each), 200, `${who}: ${each}`);
      }
      // A node pulls as well, with the login that a running pod's Secret holds.
      const { username, password } = logins["pull login"];
      const pull = ["crictl", "pull", "--creds", `${username}:${password}`, inLoopback(image)];
      await cluster.onNode(`${cluster.name}-control-plane`, pull);
      rounds += 1;
      await pause(250);
    }
  } finally {
    await resume();
  }
  t.diagnostic(`${rounds} rounds of pulls in ${awayMs / 1000} s without the API server`);
  await eventually("the API server is back", () => cluster.kubectl(["get", "--raw", "/readyz"]));
  const afterwards = test.namespaceName("back");
  await eventually("a namespace can be made", async () => {
    await cluster.apply(optedInNamespace(afterwards));
    return true;
  });
  // The controller manager and the scheduler lost their leases, and have to begin again.
  await cluster.wait("serviceaccount/default", "create", { namespace: afterwards });
  const app = { name: "app", namespace: afterwards, image: shared, pullPolicy: "Always" } as const;
  await everyReplicaGives(cluster, app, inLoopback(shared));
  await startPod(cluster, app);
  const { status } = await client.ask("HEAD", `/v2/${repository}/manifests/1`, { headers: { accept: manifestType } });
  assert.equal(status, 401);
}
