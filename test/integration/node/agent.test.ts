import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { lstat, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { systemClock } from "../../../src/clock.ts";
import { createMemoryStore, type MemoryStore } from "../../../src/cluster/memory-store.ts";
import type { KubernetesObject } from "../../../src/cluster/object.ts";
import { resources } from "../../../src/cluster/resource.ts";
import { createTokenReviewer } from "../../../src/cluster/token-review.ts";
import type { LocalRegistrySpec } from "../../../src/config/local-registry.ts";
import { createNodeRoute } from "../../../src/http/node-route.ts";
import { createLog } from "../../../src/log.ts";
import { planAccess } from "../../../src/node/access-plan.ts";
import { noAutoState } from "../../../src/node/choose.ts";
import { createNodeDesk, type NodeDesk } from "../../../src/node/desk.ts";
import { composeOrders } from "../../../src/node/orders.ts";
import { createServeClient } from "../../../src/node/serve-client.ts";
import { parseVerdict } from "../../../src/node/verdict.ts";
import { createVerdictBook } from "../../../src/node/verdict-book.ts";
import { certificateNames } from "../../../src/tls/certificate.ts";
import { issueAuthority, issueLeaf } from "../../../src/tls/issue.ts";
import { type RegistryEndpoint, startRegistryEndpoint } from "../../fake/registry-endpoint.ts";
import { createNamespace, eventually, startTestCluster, type TestCluster } from "../credential/cluster.ts";

const signal = AbortSignal.timeout(600_000);
const log = createLog({ level: "silent" });
const host = "registry.example.com";

/** The agent as its own process against serve's route, with a real API server that reviews its token. */
describe("node agent and serve", () => {
  let cluster: TestCluster;
  let registry: RegistryEndpoint;
  let desk: NodeDesk;
  let serve: Server;
  let serveUrl = "";
  let folder = "";
  let spec: LocalRegistrySpec | null = null;
  let looks = 0;
  let store: MemoryStore;
  let agent: ChildProcess | undefined;

  before(async () => {
    cluster = await startTestCluster();
    folder = await mkdtemp(join(tmpdir(), "slipway-agent-"));
    await mkdir(join(folder, "certs.d/docker.io"), { recursive: true });
    await writeFile(join(folder, "certs.d/docker.io/hosts.toml"), 'server = "https://registry-1.docker.io"\n');
    await writeFile(
      join(folder, "config.toml"),
      'version = 3\n[plugins."io.containerd.cri.v1.images".registry]\nconfig_path = "/etc/containerd/certs.d"\n',
    );
    registry = await startRegistryEndpoint(undefined, [host, "127.0.0.1"]);
    for (const name of ["slipway-system", "slipway-node", "elsewhere"]) await createNamespace(cluster.api, name, {});
    await cluster.api.create(resources.nodes, { metadata: { name: "worker-1" } }, { signal });
    await startServe();
    await writeFile(join(folder, "token"), await tokenFor("slipway-node", "node-agent"));
  });

  after(async () => {
    agent?.kill("SIGKILL");
    desk?.drain();
    serve?.closeAllConnections();
    serve?.close();
    await registry?.close();
    await cluster?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  async function startServe(): Promise<void> {
    const nowMs = Date.now();
    const authority = await issueAuthority({ commonName: "serve", nowMs });
    const names = certificateNames(["127.0.0.1"]);
    const leaf = await issueLeaf({ authority, commonName: "serve", names, nowMs });
    await writeFile(join(folder, "ca.crt"), authority.certificate);
    store = createMemoryStore<KubernetesObject>();
    const book = createVerdictBook({ store, api: cluster.api, clock: systemClock, log });
    desk = createNodeDesk({ orders, note: book.note, clock: systemClock, limit: 10 });
    const reviewer = createTokenReviewer(cluster.api);
    const route = createNodeRoute({ desk, reviewer, clock: systemClock, log });
    serve = createServer(
      { cert: leaf.certificate, key: leaf.key },
      (request, response) => void route(request, response),
    );
    serve.listen(0, "127.0.0.1");
    await once(serve, "listening");
    serveUrl = `https://127.0.0.1:${(serve.address() as AddressInfo).port}`;
  }

  function orders() {
    return composeOrders({
      spec,
      registry: null,
      plan: planAccess(spec, noAutoState),
      clusterIp: null,
      caBundle: registry.ca,
      checkLogin: null,
      lookCount: looks,
      runtime: { name: "containerd", version: "2.1.9" },
    });
  }

  function order(next: LocalRegistrySpec | null): void {
    spec = next;
    looks += 1;
    desk.wake();
  }

  /** As kubelet projects it into a pod of that account on worker-1. */
  async function tokenFor(namespace: string, account: string): Promise<string> {
    const metadata = { name: account, namespace };
    await cluster.api.create(resources.serviceAccounts, { metadata }, { signal });
    const pod = await cluster.api.create(
      resources.pods,
      {
        metadata,
        spec: { serviceAccountName: account, nodeName: "worker-1", containers: [{ name: "a", image: "a" }] },
      },
      { signal },
    );
    const { name, uid = "" } = pod.metadata;
    const boundObjectRef = { apiVersion: "v1", kind: "Pod", name, uid };
    const type = { apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest" };
    const request = {
      ...type,
      metadata,
      spec: { audiences: ["slipway-agent"], expirationSeconds: 3600, boundObjectRef },
    };
    const subresource = { name: account, subresource: "token" };
    const { status } = await cluster.api.create(resources.serviceAccounts, request, { subresource, signal });
    return (status as { token: string }).token;
  }

  function startAgent(): ChildProcess {
    const flags = {
      "--serve-url": serveUrl,
      "--ca-file": join(folder, "ca.crt"),
      "--token-file": join(folder, "token"),
      "--certs-dir": join(folder, "certs.d"),
      "--containerd-config": join(folder, "config.toml"),
      "--probe-port": "0",
      "--log-level": "error",
    };
    const main = new URL("../../../src/main.ts", import.meta.url).pathname;
    agent = spawn(process.execPath, [main, "node-agent", ...Object.entries(flags).flat()], {
      stdio: ["ignore", "inherit", "inherit"],
    });
    return agent;
  }

  async function listing(): Promise<Readonly<Record<string, string>>> {
    const entries = await readdir(join(folder, "certs.d"), { recursive: true, withFileTypes: true });
    const rows = entries.map(async (entry) => {
      const path = join(entry.parentPath, entry.name);
      const mode = ((await lstat(path)).mode & 0o777).toString(8);
      return [path, entry.isFile() ? `${mode} ${await readFile(path, "utf8")}` : mode];
    });
    return Object.fromEntries((await Promise.all(rows)).toSorted());
  }

  async function verdict() {
    const found = await cluster.api
      .list(resources.configMaps, { namespace: "slipway-system", fieldSelector: "metadata.name=slipway-nodes" }, signal)
      .then(([map]) => map);
    if (found !== undefined) store.set("slipway-system/slipway-nodes", found);
    const text = (found?.data as Record<string, string> | undefined)?.["worker-1"];
    return text === undefined ? undefined : parseVerdict(text);
  }

  const hostsFile = () =>
    readFile(join(folder, "certs.d", registryName(), "hosts.toml"), "utf8").catch(() => undefined);
  const registryName = () => `127.0.0.1:${registry.port}`;
  const withMode = (nodeAccess: "HostsToml" | "LoopbackProxy"): LocalRegistrySpec => ({
    external: { url: registry.url, caSecretRef: { name: "ca" } },
    nodeAccess,
  });

  test("the token of another account is refused, though it names the node", async () => {
    const token = await tokenFor("elsewhere", "stranger");
    const verdict = await createTokenReviewer(cluster.api).review(token, "slipway-agent", signal);
    assert.equal(
      verdict.kind === "authenticated" && verdict.extra["authentication.kubernetes.io/node-name"]?.[0],
      "worker-1",
    );
    const ca = await readFile(join(folder, "ca.crt"), "utf8");
    const client = createServeClient({ url: `${serveUrl}/node`, readCa: async () => ca, readToken: async () => token });
    const outcome = await client.poll({ protocol: 1, seen: "", agentVersion: "x", findings: null }, signal);
    assert.match(outcome.kind === "refused" ? outcome.message : "", /401/);
  });

  test("an order becomes files, and the finding a verdict of the node that the token names", async () => {
    const empty = await listing();
    order(withMode("HostsToml"));
    startAgent();
    await eventually("hosts.toml", hostsFile);
    const passed = await eventually("a verdict that passes", async () => {
      const found = await verdict();
      return found?.modes.HostsToml?.passing === true ? found : undefined;
    });
    assert.equal(passed.cas.length, 1);
    const node = await cluster.api.get(resources.nodes, { name: "worker-1" }, signal);
    assert.equal(passed.uid, node.metadata.uid);
    assert.equal(Object.keys(await listing()).length, Object.keys(empty).length + 3);
  });

  test("wiped files come back when serve asks for a look", async () => {
    await rm(join(folder, "certs.d", registryName()), { recursive: true });
    order(withMode("HostsToml"));
    await eventually("hosts.toml again", hostsFile);
  });

  test("a plain stop leaves the files, and a new agent goes on with them", async () => {
    const written = await listing();
    const running = agent ?? assert.fail();
    running.kill("SIGTERM");
    const [code] = await once(running, "exit");
    assert.equal(code, 0);
    assert.deepEqual(await listing(), written);
    startAgent();
    order(withMode("HostsToml"));
    await eventually("a poll", () => (desk.waiting() === 1 ? true : undefined));
    assert.deepEqual(await listing(), written);
  });

  test("another mode by order takes the files away and is reported", async () => {
    order(withMode("LoopbackProxy"));
    await eventually("no hosts.toml", async () => ((await hostsFile()) === undefined ? true : undefined));
    const found = await eventually("a verdict without HostsToml", async () => {
      const current = await verdict();
      return current?.modes.LoopbackProxy === undefined ? undefined : current;
    });
    assert.equal(found.modes.HostsToml, undefined);
    assert.ok(found.removed.includes("HostsToml"));
  });

  test("the end of LocalRegistry leaves the node as it was, and says so", async () => {
    order(withMode("HostsToml"));
    await eventually("hosts.toml", hostsFile);
    order(null);
    await eventually("removal", async () => ((await verdict())?.removed.length === 4 ? true : undefined));
    const left = Object.entries(await listing()).map(([path, text]) => [
      path.slice(join(folder, "certs.d").length),
      text,
    ]);
    assert.deepEqual(left, [
      ["/docker.io", "755"],
      ["/docker.io/hosts.toml", '644 server = "https://registry-1.docker.io"\n'],
    ]);
  });
});
