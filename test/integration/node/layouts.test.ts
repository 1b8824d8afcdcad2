import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { lstat, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { systemClock } from "../../../src/clock.ts";
import type { LocalRegistrySpec } from "../../../src/config/local-registry.ts";
import { freePort } from "../../../src/dev/distribution.ts";
import { createNodeRoute } from "../../../src/http/node-route.ts";
import { createLog } from "../../../src/log.ts";
import { planAccess } from "../../../src/node/access-plan.ts";
import { noAutoState } from "../../../src/node/choose.ts";
import { createNodeDesk } from "../../../src/node/desk.ts";
import { composeOrders } from "../../../src/node/orders.ts";
import type { NodeFindings } from "../../../src/node/protocol.ts";
import { certificateNames } from "../../../src/tls/certificate.ts";
import { issueAuthority, issueLeaf } from "../../../src/tls/issue.ts";
import { type RegistryEndpoint, startRegistryEndpoint } from "../../fake/registry-endpoint.ts";
import { eventually } from "../credential/cluster.ts";
import { render } from "../manifests/cluster.ts";

/** What a node of each layout has before Slipway comes; paths of the host, as its vendor lays them out. */
const layouts = [
  {
    overlay: "default",
    certs: "/etc/containerd/certs.d",
    config: "/etc/containerd/config.toml",
    named: "/etc/containerd/certs.d",
  },
  {
    overlay: "k3s",
    certs: "/var/lib/rancher/k3s/agent/etc/containerd/certs.d",
    config: "/var/lib/rancher/k3s/agent/etc/containerd/config.toml",
    named: "/var/lib/rancher/k3s/agent/etc/containerd/certs.d",
  },
  {
    overlay: "rke2",
    certs: "/var/lib/rancher/rke2/agent/etc/containerd/certs.d",
    config: "/var/lib/rancher/rke2/agent/etc/containerd/config.toml",
    named: "/var/lib/rancher/rke2/agent/etc/containerd/certs.d",
  },
  {
    overlay: "microk8s",
    certs: "/var/snap/microk8s/current/args/certs.d",
    config: "/var/snap/microk8s/current/args/containerd.toml",
    // biome-ignore lint/suspicious/noTemplateCurlyInString: as the snap writes it
    named: "${SNAP_DATA}/args/certs.d",
  },
] as const;

/** Not the agent's own, which another test may listen on. */
const loopbackPort = await freePort();
const crio = "/etc/containers/registries.conf.d";

/** The agent as its own process, with the mounts and settings of the overlay, on a host that is a folder. */
describe("a node is as it was after uninstall", () => {
  let registry: RegistryEndpoint;
  let serve: Server;
  let serveUrl = "";
  let keys = "";
  let spec: LocalRegistrySpec | null = null;
  let looks = 0;
  let findings: NodeFindings | null = null;
  const agents: ChildProcess[] = [];
  const desk = createNodeDesk({
    orders: () =>
      composeOrders({
        spec,
        registry: null,
        plan: planAccess(spec, noAutoState),
        clusterIp: null,
        caBundle: registry.ca,
        checkLogin: null,
        lookCount: looks,
        runtime: null,
      }),
    note: (_node, found) => {
      findings = found;
    },
    clock: systemClock,
    limit: 10,
  });

  before(async () => {
    registry = await startRegistryEndpoint(undefined, ["127.0.0.1"]);
    keys = await mkdtemp(join(tmpdir(), "slipway-layouts-"));
    const nowMs = Date.now();
    const authority = await issueAuthority({ commonName: "serve", nowMs });
    const leaf = await issueLeaf({ authority, commonName: "serve", names: certificateNames(["127.0.0.1"]), nowMs });
    await writeFile(join(keys, "ca.crt"), authority.certificate);
    const user = "system:serviceaccount:slipway-node:node-agent";
    const claims = { aud: ["slipway-agent"], sub: user, exp: Math.trunc(nowMs / 1_000) + 3_600 };
    const parts = [{ alg: "RS256" }, claims].map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"));
    await writeFile(join(keys, "token"), [...parts, "c2lnbmF0dXJl"].join("."));
    const extra = { "authentication.kubernetes.io/node-name": ["worker-1"] };
    const verdict = { kind: "authenticated", username: user, uid: "", groups: [], audiences: ["slipway-agent"], extra };
    const reviewer = { review: async () => verdict as never };
    const route = createNodeRoute({ desk, reviewer, clock: systemClock, log: createLog({ level: "silent" }) });
    serve = createServer(
      { cert: leaf.certificate, key: leaf.key },
      (request, response) => void route(request, response),
    );
    serve.listen(0, "127.0.0.1");
    await once(serve, "listening");
    serveUrl = `https://127.0.0.1:${(serve.address() as AddressInfo).port}`;
  });

  after(async () => {
    for (const agent of agents) agent.kill("SIGKILL");
    desk.drain();
    serve.closeAllConnections();
    serve.close();
    await registry.close();
    await rm(keys, { recursive: true, force: true });
  });

  function order(mode: "HostsToml" | "LoopbackProxy" | null): void {
    const external = { url: registry.url, caSecretRef: { name: "ca" } };
    spec = mode === null ? null : { external, nodeAccess: mode, loopbackPort };
    looks += 1;
    findings = null;
    desk.wake();
  }

  async function startAgent(overlay: string, root: string): Promise<ChildProcess> {
    const mounts = await mountsOf(overlay);
    const at = (path: string) => {
      const mount = Object.keys(mounts.folders).find((folder) => path === folder || path.startsWith(`${folder}/`));
      return mount === undefined
        ? join(root, "nothing")
        : join(root, `${mounts.folders[mount]}${path.slice(mount.length)}`);
    };
    const config = overlay === "microk8s" ? "/host/containerd/containerd.toml" : "/host/containerd/config.toml";
    const flags = {
      "--serve-url": serveUrl,
      "--ca-file": join(keys, "ca.crt"),
      "--token-file": join(keys, "token"),
      "--layout": mounts.layout,
      "--certs-dir": at("/host/certs.d"),
      "--containerd-config": at(config),
      "--registries-dir": at("/host/registries.conf.d"),
      "--probe-port": "0",
      "--log-level": "error",
    };
    const main = new URL("../../../src/main.ts", import.meta.url).pathname;
    const agent = spawn(process.execPath, [main, "node-agent", ...Object.entries(flags).flat()], {
      stdio: ["ignore", "inherit", "inherit"],
    });
    agents.push(agent);
    return agent;
  }

  async function end(agent: ChildProcess, signal: NodeJS.Signals): Promise<void> {
    agent.kill(signal);
    await once(agent, "exit");
  }

  const passes = (mode: string) =>
    eventually(`${mode} passes`, () => {
      const found = findings?.modes.find((entry) => entry.mode === mode);
      return found?.passed === true ? true : undefined;
    }).catch((error: Error) => assert.fail(`${error.message}: ${JSON.stringify(findings)}`));
  const removed = () => eventually("removal", () => (findings?.removed?.length === 4 ? true : undefined));

  for (const { overlay, certs, config, named } of layouts) {
    test(`layout of overlay ${overlay}, also when the agent was killed`, async (t) => {
      const root = await mkdtemp(join(tmpdir(), "slipway-host-"));
      t.after(() => rm(root, { recursive: true, force: true }));
      const text = `version = 3\n[plugins."io.containerd.cri.v1.images".registry]\nconfig_path = "${named}"\n`;
      await put(root, config, text);
      await put(root, `${certs}/docker.io/hosts.toml`, 'server = "https://registry-1.docker.io"\n');
      const was = await listing(root);
      order("HostsToml");
      const killed = await startAgent(overlay, root);
      await passes("HostsToml");
      const host = new URL(registry.url).host;
      const hosts = await readFile(join(root, certs, host, "hosts.toml"), "utf8");
      // Paths in it are the runtime's, not those of the agent's mounts.
      assert.ok(hosts.includes(`ca = "${certs}/${host}/slipway-ca.crt"`), hosts);
      await end(killed, "SIGKILL");
      await rm(join(root, certs, host, "hosts.toml"));
      const agent = await startAgent(overlay, root);
      order("HostsToml");
      await passes("HostsToml");
      assert.equal(await readFile(join(root, certs, host, "hosts.toml"), "utf8"), hosts);
      order(null);
      await removed();
      await end(agent, "SIGTERM");
      assert.deepEqual(await listing(root), was);
    });
  }

  test("layout of overlay crio, whose drop-in serves the loopback proxy", async (t) => {
    const root = await mkdtemp(join(tmpdir(), "slipway-host-"));
    t.after(() => rm(root, { recursive: true, force: true }));
    await put(root, `${crio}/001-theirs.conf`, '[[registry]]\nlocation = "registry.example.com"\n');
    const was = await listing(root);

    order("LoopbackProxy");
    const agent = await startAgent("crio", root);
    await passes("LoopbackProxy");
    assert.match(
      await readFile(join(root, crio, "90-slipway.conf"), "utf8"),
      new RegExp(`127\\.0\\.0\\.1:${loopbackPort}`),
    );
    order(null);
    await removed();
    await end(agent, "SIGTERM");
    assert.deepEqual(await listing(root), was);
  });
});

/** What the DaemonSet of an overlay mounts, folder in the container → folder of the host, and the layout that it names. */
async function mountsOf(
  overlay: string,
): Promise<{ readonly layout: string; readonly folders: Record<string, string> }> {
  const objects = await render(`overlays/${overlay}`);
  const { spec } = objects.find(({ kind }) => kind === "DaemonSet")?.spec.template ?? assert.fail();
  const [{ env, volumeMounts }] = spec.containers;
  const paths = new Map(
    spec.volumes.map((volume: { name: string; hostPath?: { path: string } }) => [volume.name, volume.hostPath?.path]),
  );
  const folders = volumeMounts.flatMap(({ name, mountPath }: { name: string; mountPath: string }) =>
    paths.get(name) === undefined ? [] : [[mountPath, paths.get(name)]],
  );
  const layout = env.find(({ name }: { name: string }) => name === "SLIPWAY_LAYOUT").value;
  return { layout, folders: Object.fromEntries(folders) };
}

async function put(root: string, path: string, text: string): Promise<void> {
  await mkdir(dirname(join(root, path)), { recursive: true });
  await writeFile(join(root, path), text);
}

/** Every entry below a folder with its mode, and the bytes of files. */
async function listing(root: string): Promise<Readonly<Record<string, string>>> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  const rows = entries.map(async (entry) => {
    const path = join(entry.parentPath, entry.name);
    const mode = ((await lstat(path)).mode & 0o7777).toString(8);
    return [path.slice(root.length), entry.isFile() ? `${mode} ${await readFile(path, "base64")}` : mode];
  });
  return Object.fromEntries((await Promise.all(rows)).toSorted());
}
