import assert from "node:assert/strict";
import { lstat, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { type NodeAccessHarness, nodeAccessContract } from "../../test/contract/node-access.ts";
import { challenge, type RegistryEndpoint, startRegistryEndpoint } from "../../test/fake/registry-endpoint.ts";
import { freePort } from "../dev/distribution.ts";
import { createLog } from "../log.ts";
import { type Disk, nodeDisk } from "./disk.ts";
import { createDropIn } from "./drop-in.ts";
import { createExternalStrategy } from "./external.ts";
import { createHostsTomlStrategy } from "./hosts-toml-strategy.ts";
import { createLoopbackProxy } from "./loopback-proxy.ts";
import { createLoopbackStrategy } from "./loopback-strategy.ts";
import { createNoneStrategy } from "./none.ts";
import type { OrderedRegistry } from "./protocol.ts";
import type { StrategyOrder } from "./strategy.ts";

const { signal } = new AbortController();
const host = "registry.slipway-system.svc";

function order(
  endpoint: RegistryEndpoint,
  fields: Partial<OrderedRegistry> = {},
  runtime = "containerd",
): StrategyOrder {
  const registry: OrderedRegistry = {
    names: [host, "container-registry.local:5000"],
    server: endpoint.url,
    serverName: host,
    ca: endpoint.ca,
    loopbackPort: 7443,
    checkLogin: null,
    ...fields,
  };
  return { registry, runtimeName: runtime, runtimeVersion: "2.1.9" };
}

async function endpoints(t: TestContext): Promise<readonly [RegistryEndpoint, RegistryEndpoint]> {
  const started = [await startRegistryEndpoint(), await startRegistryEndpoint(challenge, undefined, 2)] as const;
  for (const endpoint of started) t.after(endpoint.close);
  return started;
}

async function folder(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "slipway-node-"));
  t.after(() => rm(path, { recursive: true, force: true }));
  return path;
}

async function filesBelow(root: string): Promise<Readonly<Record<string, string>>> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  const rows = entries.map(async (entry) => {
    const path = join(entry.parentPath, entry.name);
    const mode = ((await lstat(path)).mode & 0o777).toString(8);
    return [path.slice(root.length), entry.isFile() ? `${mode} ${await readFile(path, "utf8")}` : mode];
  });
  return Object.fromEntries((await Promise.all(rows)).toSorted());
}

const configured =
  'version = 3\n[plugins."io.containerd.cri.v1.images".registry]\nconfig_path = "/etc/containerd/certs.d"\n';

async function openHostsToml(t: TestContext, disk: Disk = nodeDisk, config: string = configured) {
  const root = await folder(t);
  await mkdir(join(root, "certs.d/docker.io"), { recursive: true });
  await writeFile(join(root, "certs.d/docker.io/hosts.toml"), 'server = "https://registry-1.docker.io"\n');
  await writeFile(join(root, "config.toml"), config);
  const strategy = createHostsTomlStrategy({
    disk,
    certs: { mounted: join(root, "certs.d"), path: "/etc/containerd/certs.d" },
    config: { mounted: join(root, "config.toml"), path: "/etc/containerd/config.toml" },
  });
  return { strategy, root, snapshot: async () => ({ files: await filesBelow(root) }) };
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => resolve(socket.destroy().destroyed));
    socket.on("error", () => resolve(false));
  });
}

async function openLoopback(t: TestContext): Promise<NodeAccessHarness> {
  const [one, two] = await endpoints(t);
  const ports = [await freePort(), await freePort()] as const;
  const root = await folder(t);
  await writeFile(join(root, "00-shortnames.conf"), "[aliases]\n");
  const strategy = createLoopbackStrategy({
    proxy: createLoopbackProxy({ log: createLog({ level: "silent" }) }),
    dropIn: createDropIn({ disk: nodeDisk, folder: { mounted: root, path: "/etc/containers/registries.conf.d" } }),
  });
  t.after(() => strategy.close?.());
  return {
    strategy,
    orders: [order(one, { loopbackPort: ports[0] }, "cri-o"), order(two, { loopbackPort: ports[1] }, "cri-o")],
    snapshot: async () => ({ files: await filesBelow(root), listening: await Promise.all(ports.map(listens)) }),
  };
}

nodeAccessContract("HostsToml", async (t) => {
  const [one, two] = await endpoints(t);
  return { ...(await openHostsToml(t)), orders: [order(one), order(two)] };
});

nodeAccessContract("LoopbackProxy", openLoopback);

nodeAccessContract("External", async (t) => {
  const names = ["registry.example.com", "127.0.0.1"];
  const endpoint = await startRegistryEndpoint(challenge, names);
  t.after(endpoint.close);
  const strategy = createExternalStrategy({
    lookup: (_host, options, callback) => {
      if (options.all === true) callback(null, [{ address: "127.0.0.1", family: 4 }]);
      else callback(null, "127.0.0.1", 4);
    },
    hostTrust: async () => endpoint.ca,
  });
  const named = (name: string) => order(endpoint, { names: [name], ca: null });
  return {
    strategy,
    orders: [named(`registry.example.com:${endpoint.port}`), named(`127.0.0.1:${endpoint.port}`)],
    snapshot: async () => ({}),
  };
});

nodeAccessContract(
  "None",
  async (t) => {
    const [one, two] = await endpoints(t);
    return { strategy: createNoneStrategy(), orders: [order(one), order(two)], snapshot: async () => ({}) };
  },
  false,
);

describe("HostsToml on a node that is not as it should be", () => {
  async function reasonWith(
    t: TestContext,
    given: { disk?: Disk; config?: string; runtime?: string; prepare?: (root: string) => Promise<unknown> },
  ) {
    const [endpoint] = await endpoints(t);
    const { strategy, root } = await openHostsToml(t, given.disk, given.config);
    await given.prepare?.(root);
    await strategy.apply(order(endpoint, {}, given.runtime), signal);
    return { ...(await strategy.check(signal)), root };
  }
  const failing = (code: string): Disk => ({
    ...nodeDisk,
    makeFolder: () => Promise.reject(Object.assign(new Error(code), { code })),
  });

  test("config_path that is not set", async (t) => {
    assert.equal((await reasonWith(t, { config: "version = 3\n" })).finding.reason, "ConfigPathUnset");
  });
  test("a configuration that is no TOML", async (t) => {
    assert.equal((await reasonWith(t, { config: "version = = 3" })).finding.reason, "ConfigUnreadable");
  });
  test("another runtime", async (t) => {
    assert.equal((await reasonWith(t, { runtime: "cri-o" })).finding.reason, "RuntimeUnsupported");
  });
  for (const [code, reason] of [
    ["EROFS", "ReadOnly"],
    ["EACCES", "ReadOnly"],
    ["ENOSPC", "DiskFull"],
    ["EIO", "WriteFailed"],
  ] as const) {
    test(`a write that ends in ${code}`, async (t) => {
      assert.equal((await reasonWith(t, { disk: failing(code) })).finding.reason, reason);
    });
  }
  test("a mount that is not there", async (t) => {
    const prepare = (root: string) => rm(join(root, "certs.d"), { recursive: true });
    assert.equal((await reasonWith(t, { prepare })).finding.reason, "DirectoryMissing");
  });
  test("a foreign file for one name keeps the others from nothing", async (t) => {
    const prepare = async (root: string) => {
      await mkdir(join(root, "certs.d", host));
      await writeFile(join(root, "certs.d", host, "hosts.toml"), 'server = "https://mirror.example.com"\n');
    };
    const { finding, root } = await reasonWith(t, { prepare });
    assert.equal(finding.reason, "ForeignFile");
    assert.match(finding.message, /\/etc\/containerd\/certs\.d\/registry\.slipway-system\.svc\/hosts\.toml/);
    const other = join(root, "certs.d/container-registry.local:5000/hosts.toml");
    assert.match(await readFile(other, "utf8"), /^server = /m);
  });
  test("a registry that is away is told after the files are right", async (t) => {
    const gone = await startRegistryEndpoint();
    await gone.close();
    const { strategy, root } = await openHostsToml(t);
    await strategy.apply(order(gone), signal);
    assert.equal((await strategy.check(signal)).finding.reason, "Unreachable");
    assert.ok((await readdir(join(root, "certs.d"))).includes(host));
  });
  test("a CA counts as in use only when it is in every folder", async (t) => {
    const { trustedCas, root } = await reasonWith(t, {});
    assert.equal(trustedCas.length, 1);
    assert.ok(root);
    const blocked = await reasonWith(t, {
      prepare: async (path) => {
        await mkdir(join(path, "certs.d", host));
        await writeFile(join(path, "certs.d", host, "hosts.toml"), 'server = "https://mirror.example.com"\n');
      },
    });
    assert.deepEqual(blocked.trustedCas, []);
  });
});

describe("LoopbackProxy on a node that is not as it should be", () => {
  test("a foreign drop-in stays as it is, and is told", async (t) => {
    const root = await folder(t);
    await writeFile(join(root, "90-slipway.conf"), "unqualified-search-registries = []\n");
    const before = await filesBelow(root);
    const dropIn = createDropIn({
      disk: nodeDisk,
      folder: { mounted: root, path: "/etc/containers/registries.conf.d" },
    });
    assert.equal((await dropIn.write(7443))?.reason, "ForeignFile");
    assert.equal(await dropIn.remove(), undefined);
    assert.deepEqual(await filesBelow(root), before);
  });
  test("what was removed does not listen", async (t) => {
    const { strategy, orders, snapshot } = await openLoopback(t);
    await strategy.apply(orders[0], signal);
    assert.deepEqual(((await snapshot()) as { listening: unknown }).listening, [true, false]);
  });
});
