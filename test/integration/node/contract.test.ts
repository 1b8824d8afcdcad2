import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { after, before, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { systemClock } from "../../../src/clock.ts";
import type { KubernetesObject } from "../../../src/cluster/object.ts";
import { resources } from "../../../src/cluster/resource.ts";
import { type Distribution, startDistribution } from "../../../src/dev/distribution.ts";
import { findControlPlanePrograms, findRegistryProgram } from "../../../src/dev/programs.ts";
import { runToEnd } from "../../../src/dev/run-to-end.ts";
import { createRegistryClient } from "../../../src/registry/client.ts";
import { RegistryError } from "../../../src/registry/registry-error.ts";
import { startTestCluster, type TestCluster } from "../credential/cluster.ts";
import { manifestsFolder } from "../manifests/cluster.ts";

const signal = AbortSignal.timeout(600_000);
const account = "system:serviceaccount:slipway-contract:contract-check";
const groups = ["system:serviceaccounts", "system:serviceaccounts:slipway-contract"];
const password = "hush";
/** bcrypt of the password. */
const user = "pusher:$2b$05$abcdefghijklmnopqrstuulzd.YqjLDl8lvpSmVj3De/fioSBHnUa";

/**
 * `slipway contract` as its own process, with exactly the rights of the component, against a CNCF Distribution that is
 * none of ours: plain HTTP and Basic logins. The test is the kubelet: it pulls what a pod names with the login of the
 * pod's pull Secret, and tells of it as kubelet does.
 */
describe("slipway contract against a registry that is not Slipway's", () => {
  let cluster: TestCluster;
  let registry: Distribution;
  let folder = "";
  let kubeconfig = "";
  const stop = new AbortController();
  let kubelet: Promise<void>;

  before(async () => {
    cluster = await startTestCluster();
    folder = await mkdtemp(join(tmpdir(), "slipway-contract-"));
    const { kubectl } = await findControlPlanePrograms({ env: process.env, announce: () => {} });
    const component = `${manifestsFolder}/components/contract-check`;
    await runToEnd({
      command: kubectl,
      args: ["--kubeconfig", cluster.kubeconfigPath, "apply", "-k", component],
    });
    kubeconfig = await cluster.addUser(account, groups);
    const configFile = join(folder, "config.yml");
    await writeFile(join(folder, "htpasswd"), `${user}\n`);
    const config = {
      version: 0.1,
      log: { level: "error", accesslog: { disabled: true } },
      storage: { filesystem: { rootdirectory: join(folder, "data") } },
      auth: { htpasswd: { realm: "theirs", path: join(folder, "htpasswd") } },
      http: { addr: "127.0.0.1:0", secret: "a" },
    };
    await writeFile(configFile, JSON.stringify(config));
    const program = await findRegistryProgram({ env: process.env, announce: () => {} });
    registry = await startDistribution({ program, configFile });
    for (const [name, secret] of [
      ["good", password],
      ["wrong", "another"],
    ] as const) {
      await cluster.api.create(resources.secrets, pullSecret(name, secret), { signal });
    }
    for (const namespace of ["slipway-contract", "slipway-contract-other"]) {
      await cluster.api.create(resources.serviceAccounts, { metadata: { name: "default", namespace } }, { signal });
    }
    for (const name of ["worker-1", "worker-2"]) await addNode(name);
    kubelet = runKubelet();
  });

  after(async () => {
    stop.abort();
    await kubelet;
    await registry?.stop();
    await cluster?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  function dockerConfig(secret: string): string {
    return JSON.stringify({ auths: { [registry.address]: { username: "pusher", password: secret } } });
  }

  function pullSecret(name: string, secret: string): KubernetesObject {
    const data = { ".dockerconfigjson": Buffer.from(dockerConfig(secret)).toString("base64") };
    return { metadata: { name, namespace: "slipway-contract" }, type: "kubernetes.io/dockerconfigjson", data };
  }

  async function addNode(name: string): Promise<void> {
    const condition = { type: "Ready", status: "True", lastTransitionTime: "2026-01-01T00:00:00Z" };
    await cluster.api.create(resources.nodes, { metadata: { name } }, { signal });
    await cluster.transport.json({
      method: "PATCH",
      path: `/api/v1/nodes/${name}/status`,
      contentType: "application/merge-patch+json",
      body: { status: { conditions: [condition] } },
      signal,
    });
  }

  async function runKubelet(): Promise<void> {
    const told = new Set<string>();
    while (!stop.signal.aborted) {
      for (const namespace of ["slipway-contract", "slipway-contract-other"]) {
        for (const pod of await cluster.api.list(resources.pods, { namespace }, signal)) {
          const { uid = "" } = pod.metadata;
          if (!told.has(uid)) await tell(pod, await pull(pod));
          told.add(uid);
        }
      }
      await delay(50);
    }
  }

  /** @returns the runtime's words; "" for a pull that went through */
  async function pull(pod: KubernetesObject): Promise<string> {
    const spec = pod.spec as {
      imagePullSecrets?: readonly { name: string }[];
      containers: readonly { image: string }[];
    };
    const [{ image } = assert.fail()] = spec.containers;
    const [, address = "", repository = "", tag = ""] = /^([^/]+)\/(.+):([^:]+)$/.exec(image) ?? [];
    const secret = spec.imagePullSecrets?.[0]?.name;
    const given = secret === "good" ? password : "another";
    const client = createRegistryClient({
      origin: `http://${address}`,
      ca: () => undefined,
      login: () => (secret === undefined ? undefined : { username: "pusher", password: given }),
      clock: systemClock,
      random: Math.random,
    });
    try {
      const found = await client.headManifest(repository, tag, signal);
      return found === undefined ? `${image}: not found` : "";
    } catch (error) {
      if (!(error instanceof RegistryError)) throw error;
      return `failed to authorize: unexpected status ${error.status} Unauthorized`;
    } finally {
      client.close();
    }
  }

  async function tell(pod: KubernetesObject, words: string): Promise<void> {
    const { name, namespace = "", uid = "" } = pod.metadata;
    const { image } = (pod.spec as { containers: readonly { image: string }[] }).containers[0] ?? assert.fail();
    const note =
      words === "" ? `Successfully pulled image "${image}" in 5ms` : `Failed to pull image "${image}": ${words}`;
    const event = {
      metadata: { name: `told-${uid}`, namespace },
      eventTime: new Date().toISOString().replace("Z", "000Z"),
      reportingController: "kubelet",
      reportingInstance: "test",
      action: "Pull",
      type: words === "" ? "Normal" : "Warning",
      reason: words === "" ? "Pulled" : "Failed",
      note,
      regarding: { apiVersion: "v1", kind: "Pod", name, namespace, uid, fieldPath: "spec.containers{name-0}" },
    };
    await cluster.api.create(resources.events, event, { signal });
  }

  async function contract(settings: Readonly<Record<string, string>>, secret = password) {
    const login = await mkdtemp(join(folder, "login-"));
    await writeFile(join(login, ".dockerconfigjson"), dockerConfig(secret));
    const main = new URL("../../../src/main.ts", import.meta.url).pathname;
    const child = spawn(process.execPath, [main, "contract", "--kubeconfig", kubeconfig, "--output", "json"], {
      stdio: ["ignore", "pipe", "pipe"],
      env: {
        PATH: process.env.PATH,
        SLIPWAY_CONTRACT_IMAGE: `${registry.address}/theirs/contract`,
        SLIPWAY_CONTRACT_NAMESPACE: "slipway-contract",
        SLIPWAY_CONTRACT_PLAIN_HTTP: "true",
        SLIPWAY_CONTRACT_LOGIN: login,
        ...settings,
      },
    });
    const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, "close")]);
    return { code, rows: JSON.parse(stdout || "[]") as readonly { readonly [field: string]: string }[], stderr };
  }

  const both = { SLIPWAY_CONTRACT_OTHER_NAMESPACE: "slipway-contract-other", SLIPWAY_CONTRACT_PULL_SECRET: "good" };

  test("holds where every node pulls by the pod's Secret and the other namespace is refused", async () => {
    const { code, rows, stderr } = await contract(both);
    assert.equal(code, 0, `${stderr}${JSON.stringify(rows)}`);
    assert.deepEqual(
      rows.map(({ node, result }) => [node, result]),
      [
        ["worker-1", "passed"],
        ["worker-2", "passed"],
      ],
    );
    assert.match(stderr, /the contract holds/);
    for (const namespace of ["slipway-contract", "slipway-contract-other"]) {
      // There is no real kubelet that ends them.
      const left = await cluster.api.list(resources.pods, { namespace }, signal);
      assert.deepEqual(
        left.filter(({ metadata }) => metadata.deletionTimestamp === undefined),
        [],
      );
    }
  });

  test("on the nodes that are named, and no others", async () => {
    const { code, rows } = await contract({ ...both, SLIPWAY_CONTRACT_NODES: "worker-2" });
    assert.deepEqual([code, rows.map(({ node }) => node)], [0, ["worker-2"]]);
  });

  test("does not hold where nodes are refused, and says by which Secret they logged in", async () => {
    const { code, rows } = await contract({
      SLIPWAY_CONTRACT_PULL_SECRET: "wrong",
      SLIPWAY_CONTRACT_NODES: "worker-1",
    });
    assert.equal(code, 1);
    assert.equal(rows[0]?.reason, "LoginRefused");
    assert.match(rows[0]?.message ?? "", /Secret slipway-contract\/wrong.*the runtime said/);
  });

  test("does not hold where the push is refused; no pod is created then", async () => {
    const { code, rows, stderr } = await contract(both, "another");
    assert.equal(code, 1);
    assert.equal(rows[0]?.reason, "LoginRefused");
    assert.match(stderr, /cannot be pushed from here/);
    assert.doesNotMatch(stderr + JSON.stringify(rows), /another/);
  });

  test("tells which right is missing where it may not create pods", async () => {
    const { code, rows } = await contract({
      SLIPWAY_CONTRACT_NAMESPACE: "default",
      SLIPWAY_CONTRACT_NODES: "worker-1",
    });
    assert.equal(code, 1);
    assert.equal(rows[0]?.result, "undecided");
    assert.match(rows[0]?.message ?? "", /cannot create resource "pods"/);
  });
});
