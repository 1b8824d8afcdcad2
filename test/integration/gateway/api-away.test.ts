import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { systemClock } from "../../../src/clock.ts";
import { resources } from "../../../src/cluster/resource.ts";
import { registryAdminSecretName } from "../../../src/config/names.ts";
import type { Login } from "../../../src/credential/login.ts";
import { type BreakingProxy, startBreakingProxy } from "../../fake/breaking-proxy.ts";
import { type RealApiServer, signal, startRealApiServer } from "../cluster/api-server.ts";
import { createKeySecret, type GatewayCommand, prepareCluster, startGatewayCommand } from "./gateway-command.ts";
import { adminLogin, type Certificates, issueCertificates, namespaceObject, secretObject } from "./harness.ts";
import { startRecorder } from "./recorder.ts";
import {
  type Answer,
  basic,
  createRegistryClient,
  pullLogin,
  pushLogin,
  type RegistryClient,
} from "./registry-client.ts";

const awayMs = 60_000;
/** Kubelets and builds of a small cluster; enough to see every change of state. */
const pauseMs = 500;
const namespace = "team-x";

describe("the API server is away for a minute", () => {
  let server: RealApiServer;
  let door: BreakingProxy;
  let recorder: Awaited<ReturnType<typeof startRecorder>>;
  let certificates: Certificates;
  let gateway: GatewayCommand;
  let client: RegistryClient;
  let uid: string;

  before(async () => {
    server = await startRealApiServer();
    recorder = await startRecorder();
    certificates = await issueCertificates();
    await prepareCluster(server, certificates);
    await createKeySecret(server);
    await server.api.create(resources.secrets, secretObject(registryAdminSecretName, adminLogin), { signal });
    const { metadata } = namespaceObject(namespace, "");
    const created = await server.api.create(
      resources.namespaces,
      { metadata: { name: namespace, labels: metadata.labels ?? {}, annotations: metadata.annotations ?? {} } },
      { signal },
    );
    uid = created.metadata.uid ?? "";
    for (const name of ["known", "stranger"]) {
      await server.api.create(resources.serviceAccounts, { metadata: { name, namespace } }, { signal });
    }
    const { kubeconfigPath, url } = server.controlPlane;
    door = await startBreakingProxy(new URL(url).host);
    const throughDoor = join(dirname(kubeconfigPath), "through-door.kubeconfig");
    const kubeconfig = await readFile(kubeconfigPath, "utf8");
    assert.ok(kubeconfig.includes(new URL(url).host));
    await writeFile(throughDoor, kubeconfig.replaceAll(new URL(url).host, door.address), { mode: 0o600 });
    gateway = await startGatewayCommand({ kubeconfigPath: throughDoor, distributionUrl: recorder.url });
    await gateway.untilReadyz(/^ok\n$/);
    client = createRegistryClient({ url: gateway.url, ca: certificates.ca });
  });
  after(async () => {
    client?.close();
    await gateway?.stop();
    await door?.close();
    await recorder?.stop();
    await server?.stop();
  });

  async function accountToken(name: string): Promise<Login> {
    const spec = { audiences: ["slipway"], expirationSeconds: 3_600 };
    const type = { apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest" };
    const request = { ...type, metadata: { name, namespace }, spec };
    const options = { subresource: { name, subresource: "token" }, signal };
    const { status } = await server.api.create(resources.serviceAccounts, request, options);
    return { username: "account", password: (status as { token: string }).token };
  }
  const ask = (login: Login): Promise<Answer> =>
    client.ask("GET", "/auth/token?scope=repository:docker.io/library/nginx:pull", {
      headers: { authorization: basic(login) },
    });
  const until = async (holds: () => Promise<boolean>): Promise<void> => {
    while (!(await holds())) await systemClock.sleep(50, signal);
  };

  test("logins that need no review go on, accounts are told, and all is as before when it is back", async () => {
    const [known, stranger] = [await accountToken("known"), await accountToken("stranger")];
    assert.equal((await ask(known)).status, 200);
    const local = [pullLogin(namespace, uid), pushLogin(namespace, uid), adminLogin];
    const pull = async (login: Login) => {
      const scope = `repository:${namespace}/app:pull`;
      const authorization = `Bearer ${await client.token(login, scope)}`;
      return (await client.ask("GET", `/v2/${namespace}/app/manifests/1`, { headers: { authorization } })).status;
    };
    await until(async () => (await ask(local[0] ?? adminLogin)).status === 200);
    door.cut();
    const endMs = systemClock.monotonicMs() + awayMs;
    const refusedAfterMs: number[] = [];
    const askStranger = async () => {
      while (systemClock.monotonicMs() < endMs) {
        const startMs = systemClock.monotonicMs();
        const answer = await ask(stranger);
        refusedAfterMs.push(systemClock.monotonicMs() - startMs);
        assert.equal(answer.status, 503);
        assert.ok(answer.headers["retry-after"] !== undefined);
        const { errors } = JSON.parse(answer.body.toString()) as { errors: { code: string }[] };
        assert.equal(errors[0]?.code, "UNAVAILABLE");
        await systemClock.sleep(pauseMs, signal);
      }
    };
    const strangers = askStranger();
    let pulls = 0;
    while (systemClock.monotonicMs() < endMs) {
      for (const login of local) assert.equal(await pull(login), 200, login.username);
      assert.equal(await gateway.readyz(), "ok\n", "it would lose its place behind the Service");
      pulls += local.length;
      await Promise.race([strangers, systemClock.sleep(pauseMs, signal)]);
    }
    await strangers;
    assert.ok(pulls > local.length, `${pulls} pulls in a minute`);
    assert.ok(Math.max(...refusedAfterMs) < 20_000, `answered after ${Math.max(...refusedAfterMs)} ms`);
    door.open();
    await until(async () => (await ask(stranger)).status === 200);
    const labels = { "slipway.dev/inject": "enabled" };
    const late = await server.api.create(resources.namespaces, { metadata: { name: "team-y", labels } }, { signal });
    await until(async () => (await ask(pullLogin("team-y", late.metadata.uid ?? ""))).status === 200);
  });
});
