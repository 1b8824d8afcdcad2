import assert from "node:assert/strict";
import { lstat, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { type Disk, nodeDisk } from "./disk.ts";
import { createHostFolders } from "./host-folder.ts";
import type { OrderedRegistry } from "./protocol.ts";

const host = "registry.slipway-system.svc";
const alias = "container-registry.local:5000";
const pem = (name: string) => `-----BEGIN CERTIFICATE-----\n${name}\n-----END CERTIFICATE-----\n`;

function registry(fields: Partial<OrderedRegistry> = {}): OrderedRegistry {
  return {
    names: [host, alias],
    server: "https://10.96.0.10:443",
    serverName: host,
    ca: pem("one"),
    loopbackPort: 7443,
    checkLogin: null,
    ...fields,
  };
}

async function temporaryRoot(t: TestContext): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), "slipway-certs-"));
  t.after(() => rm(root, { recursive: true, force: true }));
  return root;
}

function foldersIn(root: string, disk: Disk = nodeDisk) {
  return createHostFolders({ disk, root, runtimeRoot: "/etc/containerd/certs.d" });
}

/** Every path below root with its mode and content: what "byte for byte" means. */
async function listing(root: string): Promise<Readonly<Record<string, string>>> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  const rows = entries.map(async (entry) => {
    const path = join(entry.parentPath, entry.name);
    const mode = ((await lstat(path)).mode & 0o777).toString(8);
    return [path.slice(root.length), entry.isFile() ? `${mode} ${await readFile(path, "utf8")}` : `${mode} folder`];
  });
  return Object.fromEntries((await Promise.all(rows)).toSorted());
}

async function putFile(root: string, path: string, text: string): Promise<void> {
  await mkdir(join(root, path, ".."), { recursive: true });
  await writeFile(join(root, path), text);
}

/** A disk that fails at its nth change, as a process that is killed there. */
function brokenAfter(changes: number): { readonly disk: Disk; readonly count: () => number } {
  let done = 0;
  const step = <A extends unknown[], R>(work: (...args: A) => Promise<R>) => {
    return async (...args: A): Promise<R> => {
      if (done >= changes) throw Object.assign(new Error("killed here"), { code: "EIO" });
      done += 1;
      return work(...args);
    };
  };
  const { kind, read, list, ...writing } = nodeDisk;
  const disk: Disk = {
    kind,
    read,
    list,
    makeFolder: step(writing.makeFolder),
    write: step(writing.write),
    rename: step(writing.rename),
    syncFolder: step(writing.syncFolder),
    removeFile: step(writing.removeFile),
    removeFolder: step(writing.removeFolder),
  };
  return { disk, count: () => done };
}

describe("folders of certs.d", () => {
  test("a host gets hosts.toml with server, ca and host table, and the CA beside it", async (t) => {
    const root = await temporaryRoot(t);
    assert.deepEqual(await foldersIn(root).write(host, registry()), { kind: "written" });
    const text = await readFile(join(root, host, "hosts.toml"), "utf8");
    const ca = `ca = "/etc/containerd/certs.d/${host}/slipway-ca.crt"`;
    assert.deepEqual(text.split("\n").slice(1), [
      'server = "https://10.96.0.10:443"',
      ca,
      "",
      '[host."https://10.96.0.10:443"]',
      '  capabilities = ["pull", "resolve", "push"]',
      `  ${ca}`,
      "",
    ]);
    assert.ok((await readFile(join(root, host, "slipway-ca.crt"), "utf8")).endsWith(pem("one")));
  });

  test("files are readable by the runtime and writable by root only", async (t) => {
    const root = await temporaryRoot(t);
    await foldersIn(root).write(host, registry());
    const found = await listing(root);
    assert.deepEqual(
      Object.values(found).map((text) => text.slice(0, 3)),
      ["755", "644", "644"],
    );
  });

  test("writing the same again changes nothing", async (t) => {
    const root = await temporaryRoot(t);
    await foldersIn(root).write(host, registry());
    const before = await lstat(join(root, host, "hosts.toml"));
    assert.deepEqual(await foldersIn(root).write(host, registry()), { kind: "unchanged" });
    assert.equal((await lstat(join(root, host, "hosts.toml"))).ino, before.ino);
  });

  test("a new address and a new CA replace the old ones", async (t) => {
    const root = await temporaryRoot(t);
    await foldersIn(root).write(host, registry());
    const next = registry({ server: "https://[fd00::10]:443", ca: pem("one") + pem("two") });
    assert.deepEqual(await foldersIn(root).write(host, next), { kind: "written" });
    assert.match(await readFile(join(root, host, "hosts.toml"), "utf8"), /host\."https:\/\/\[fd00::10\]:443"/);
    assert.ok((await readFile(join(root, host, "slipway-ca.crt"), "utf8")).endsWith(pem("one") + pem("two")));
  });

  test("without a CA of ours no file is named", async (t) => {
    const root = await temporaryRoot(t);
    await foldersIn(root).write(host, registry());
    await foldersIn(root).write(host, registry({ ca: null }));
    assert.deepEqual(await readdir(join(root, host)), ["hosts.toml"]);
    assert.doesNotMatch(await readFile(join(root, host, "hosts.toml"), "utf8"), /^\s*ca =/m);
  });

  test("an alias that is not ordered any more goes", async (t) => {
    const root = await temporaryRoot(t);
    const folders = foldersIn(root);
    await folders.write(host, registry());
    await folders.write(alias, registry());
    await folders.removeAllBut(new Set([host]));
    assert.deepEqual(await readdir(root), [host]);
  });

  for (const [name, damage] of [
    ["wiped", (root: string) => rm(join(root, host), { recursive: true })],
    ["cut off", (root: string) => writeFile(join(root, host, "hosts.toml"), "# Managed by slip")],
    ["emptied", (root: string) => writeFile(join(root, host, "hosts.toml"), "")],
    ["overwritten with rubbish", (root: string) => writeFile(join(root, host, "hosts.toml"), "\u0000\u0001rubbish")],
    ["without its CA", (root: string) => rm(join(root, host, "slipway-ca.crt"))],
    ["with a broken CA", (root: string) => writeFile(join(root, host, "slipway-ca.crt"), "x")],
    [
      "with both files broken",
      async (root: string) => {
        await writeFile(join(root, host, "hosts.toml"), "x");
        await writeFile(join(root, host, "slipway-ca.crt"), "x");
      },
    ],
  ] as const) {
    test(`a folder that was ${name} is healed`, async (t) => {
      const root = await temporaryRoot(t);
      const folders = foldersIn(root);
      await folders.write(host, registry());
      const before = await listing(root);
      await damage(root);
      assert.deepEqual(await folders.write(host, registry()), { kind: "written" });
      assert.deepEqual(Object.keys(await listing(root)), Object.keys(before));
      assert.deepEqual(await folders.write(host, registry()), { kind: "unchanged" });
    });
  }
  test("a folder that lost every marker is healed, and goes at removal all the same", async (t) => {
    const root = await temporaryRoot(t);
    const folders = foldersIn(root);
    await folders.write(host, registry());
    const before = await listing(root);
    await putFile(root, `${host}/hosts.toml`, "rubbish");
    await rm(join(root, host, "slipway-ca.crt"));
    await folders.write(host, registry());
    assert.deepEqual(await listing(root), before);
    await folders.removeAllBut(new Set());
    assert.deepEqual(await listing(root), {});
  });
});

describe("what is not ours", () => {
  const foreign: Readonly<Record<string, Readonly<Record<string, string>>>> = {
    "a foreign hosts.toml": { [`${host}/hosts.toml`]: 'server = "https://mirror.example.com"\n' },
    "an empty hosts.toml that somebody made": { [`${host}/hosts.toml`]: "" },
    "a certificate in Docker's layout": { [`${host}/ca.crt`]: pem("theirs") },
    "a file in place of the folder": { [host]: "x" },
  };
  for (const [name, files] of Object.entries(foreign)) {
    test(`${name} is reported and stays as it is`, async (t) => {
      const root = await temporaryRoot(t);
      for (const [path, text] of Object.entries(files)) await putFile(root, path, text);
      const before = await listing(root);
      assert.equal((await foldersIn(root).write(host, registry())).kind, "foreign");
      await foldersIn(root).removeAllBut(new Set());
      assert.deepEqual(await listing(root), before);
    });
  }

  test("a folder that containerd reads before ours is reported", async (t) => {
    const root = await temporaryRoot(t);
    await mkdir(join(root, "container-registry.local_5000_"));
    const outcome = await foldersIn(root).write(alias, registry());
    assert.deepEqual(outcome, { kind: "foreign", path: "/etc/containerd/certs.d/container-registry.local_5000_" });
  });

  test("a configuration that somebody put over ours is reported, not undone", async (t) => {
    const root = await temporaryRoot(t);
    const folders = foldersIn(root);
    await folders.write(host, registry());
    await writeFile(join(root, host, "hosts.toml"), 'server = "https://mirror.example.com"\n');
    assert.equal((await folders.write(host, registry())).kind, "foreign");
  });

  test("removal leaves every other host as it was", async (t) => {
    const root = await temporaryRoot(t);
    await putFile(root, "_default/hosts.toml", 'server = "https://mirror.example.com"\n');
    await putFile(root, "docker.io/hosts.toml", 'server = "https://registry-1.docker.io"\n');
    await mkdir(join(root, "quay.io"));
    const before = await listing(root);
    const folders = foldersIn(root);
    for (const name of [host, alias]) await folders.write(name, registry());
    await folders.removeAllBut(new Set());
    assert.deepEqual(await listing(root), before);
  });

  test("a folder that was there before stays after removal, with what else is in it", async (t) => {
    const root = await temporaryRoot(t);
    await putFile(root, `${host}/README`, "notes");
    const before = await listing(root);
    const folders = foldersIn(root);
    assert.deepEqual(await folders.write(host, registry()), { kind: "written" });
    await folders.removeAllBut(new Set());
    assert.deepEqual(await listing(root), before);
  });

  test("an empty folder that was there before stays", async (t) => {
    const root = await temporaryRoot(t);
    await mkdir(join(root, host));
    const folders = foldersIn(root);
    await folders.write(host, registry());
    await foldersIn(root).removeAllBut(new Set());
    assert.deepEqual(await readdir(root), [host]);
  });
});

describe("an agent killed at each step", () => {
  const prepared = {
    "of the first write": async () => {},
    "of a change of address and CA": async (root: string) => {
      await foldersIn(root).write(host, registry({ server: "https://10.96.0.99:443", ca: pem("old") }));
    },
    "of a write into a folder that was there": async (root: string) => {
      await putFile(root, `${host}/README`, "notes");
    },
  };
  for (const [name, prepare] of Object.entries(prepared)) {
    test(`${name} leaves a whole configuration or none, and the next one repairs it`, async (t) => {
      for (let steps = 0; ; steps += 1) {
        const root = await temporaryRoot(t);
        await prepare(root);
        const before = await listing(root);
        const isOurs = `/${host}/hosts.toml` in before;
        const broken = brokenAfter(steps);
        const outcome = await foldersIn(root, broken.disk)
          .write(host, registry())
          .catch((error: unknown) => error);
        await assertWhole(root);
        const next = foldersIn(root);
        await next.write(host, registry());
        await next.removeAllBut(new Set([host]));
        assert.deepEqual(await next.write(host, registry()), { kind: "unchanged" });
        assert.deepEqual(
          (await readdir(root, { recursive: true })).filter((path) => basename(path).startsWith(".slipway-")),
          [],
        );
        await next.removeAllBut(new Set());
        assert.deepEqual(await listing(root), isOurs ? {} : before);
        if (!(outcome instanceof Error)) return assert.ok(steps >= 5, `only ${steps} steps were seen`);
      }
    });
  }

  test("of removal leaves nothing after the next one", async (t) => {
    for (let steps = 0; ; steps += 1) {
      const root = await temporaryRoot(t);
      await foldersIn(root).write(host, registry());
      await putFile(root, `${alias}/README`, "notes");
      const kept = await listing(join(root, alias));
      await foldersIn(root).write(alias, registry());
      const broken = brokenAfter(steps);
      const outcome = await foldersIn(root, broken.disk)
        .removeAllBut(new Set())
        .catch((error: unknown) => error);
      await assertWhole(root);
      await foldersIn(root).removeAllBut(new Set());
      assert.deepEqual(await readdir(root), [alias]);
      assert.deepEqual(await listing(join(root, alias)), kept);
      if (!(outcome instanceof Error)) return assert.ok(steps >= 6, `only ${steps} steps were seen`);
    }
  });

  /** What a runtime reads at that moment: no hosts.toml, or a complete one whose CA is there. */
  async function assertWhole(root: string): Promise<void> {
    const text = await readFile(join(root, host, "hosts.toml"), "utf8").catch(() => undefined);
    if (text === undefined) return;
    assert.match(text, /^server = .*\nca = .*\n\n\[host\..*\]\n {2}capabilities = .*\n {2}ca = .*\n$/m);
    assert.match(await readFile(join(root, host, "slipway-ca.crt"), "utf8"), /END CERTIFICATE/);
  }
});
