import assert from "node:assert/strict";
import type { Login } from "../../../src/credential/login.ts";
import { manifestType } from "../../integration/gateway/registry-client.ts";
import type { Cluster } from "../cluster.ts";
import { kindTest, optedInNamespace } from "../harness.ts";
import { askAs, type DirectClient, openNodePort, readAdminLogin, readLogin } from "./direct-client.ts";
import { eventually } from "./eventually.ts";
import { startPod } from "./pod.ts";
import { findContainerProcess } from "./registry-pod.ts";
import { pushImage, registryHost } from "./slipway.ts";

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

kindTest("the API server is away for a minute: logins that need no review go on", async (test) => {
  const { cluster, t } = test;
  const client = await openNodePort(t, cluster);
  const namespace = test.namespaceName("away");
  await cluster.apply(optedInNamespace(namespace));
  const image = await pushImage(cluster, "busybox:1.37", `${namespace}/app:1`);
  const shared = await pushImage(cluster, "busybox:1.37", `docker.io/library/slipway-${test.word()}:1`);
  const repository = `${namespace}/app`;
  const sharedRepository = shared.slice(`${registryHost}/`.length, -":1".length);
  const logins = {
    "pull login": await readLogin(cluster, namespace),
    admin: await readAdminLogin(cluster),
  };
  const account = async () => {
    const args = ["create", "token", "default", "--audience", "slipway", "--namespace", namespace];
    return { username: "any", password: (await cluster.kubectl(args)).trim() };
  };
  const unknown = await account();
  await pulls(client, logins["pull login"], repository);

  const resume = await pauseApiServer(cluster);
  const endMs = performance.now() + awayMs;
  let rounds = 0;
  try {
    while (performance.now() < endMs) {
      for (const [name, login] of Object.entries(logins)) {
        assert.equal(await pulls(client, login, repository), 200, name);
        assert.equal(await pulls(client, login, sharedRepository), 200, name);
      }
      // One that needs a review is told that it cannot be had now, not that it is refused.
      if (rounds === 0) await assert.rejects(client.token(unknown, `repository:${repository}:pull`), /no token: 503/);
      // A node pulls as well, with the login that a running pod's Secret holds.
      const { username, password } = logins["pull login"];
      const node = `${cluster.name}-control-plane`;
      await cluster.onNode(node, ["crictl", "pull", "--creds", `${username}:${password}`, image]);
      rounds += 1;
    }
  } finally {
    await resume();
  }
  t.diagnostic(`${rounds} rounds of pulls in ${awayMs / 1000} s without the API server`);
  await eventually("the API server is back", () => cluster.kubectl(["get", "--raw", "/readyz"]), { withinMs: 180_000 });
  const afterwards = test.namespaceName("back");
  await eventually("a namespace can be made", async () => {
    await cluster.apply(optedInNamespace(afterwards));
    return true;
  });
  // The controller manager and the scheduler lost their leases, and have to begin again.
  await cluster.wait("serviceaccount/default", "create", { namespace: afterwards, timeoutSeconds: 180 });
  await startPod(cluster, { name: "app", namespace: afterwards, image: shared, pullPolicy: "Always" });
  const { status } = await client.ask("HEAD", `/v2/${repository}/manifests/1`, { headers: { accept: manifestType } });
  assert.equal(status, 401);
});
