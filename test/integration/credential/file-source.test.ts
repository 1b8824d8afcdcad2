import assert from "node:assert/strict";
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { resources } from "../../../src/cluster/resource.ts";
import type { PullCredentialStatus } from "../../../src/config/pull-credential.ts";
import { createFastClock } from "../../fake/clock.ts";
import {
  createNamespace,
  findSecret,
  installTypes,
  passwordsOf,
  startTestCluster,
  type TestCluster,
  waitMs,
} from "./cluster.ts";
import { dockerConfig } from "./controller.ts";
import { type RunningLeader, startLeader, within } from "./leader.ts";

// A login that something else keeps fresh in a file of serve's pod, from there into namespaces.

const signal = AbortSignal.timeout(600_000);
const spaces = ["one", "two", "three"];
let cluster: TestCluster;
let folder: string;
let leader: RunningLeader;
let version = 0;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "slipway-credential-files-"));
  await symlink("..data/config.json", join(folder, "config.json"));
  cluster = await startTestCluster();
  await installTypes(cluster);
  for (const name of spaces) await createNamespace(cluster.api, name);
  // Two PullCredentials of the same file, which is read once for both.
  for (const name of ["a", "b"]) {
    const spec = { sources: [{ file: { path: "config.json" } }] };
    await cluster.api.create(resources.pullCredentials, { metadata: { name }, spec }, { signal });
  }
  await project(dockerConfig({ "x.example.com": "1" }));
  leader = start();
});
after(async () => {
  await leader.stop();
  await cluster.stop();
  await rm(folder, { recursive: true });
});

/** Files are looked at every few seconds: of a clock that is five times as fast. */
const start = () => startLeader(cluster.kubeconfigPath, { credentialFiles: folder, clock: createFastClock(5) });

/** As kubelet does it: a new folder, and `..data` swapped to point at it. */
async function project(content: string): Promise<void> {
  const name = `..${++version}`;
  await mkdir(join(folder, name));
  await writeFile(join(folder, name, "config.json"), content);
  await symlink(name, join(folder, "..data_tmp"));
  await rename(join(folder, "..data_tmp"), join(folder, "..data"));
}

const hold = (want: Readonly<Record<string, string>>) =>
  within(waitMs, `all namespaces hold ${JSON.stringify(want)}`, async () => {
    const found = await Promise.all(spaces.map(async (name) => passwordsOf(await findSecret(cluster.api, name))));
    return found.every((one) => JSON.stringify(one) === JSON.stringify(want)) ? true : undefined;
  });

const isReady = (status: string, reason: string, message: RegExp) =>
  within(waitMs, `Ready is ${status}, ${reason}`, async () => {
    const object = await cluster.api.get(resources.pullCredentials, { name: "a" }, signal);
    const { conditions = [] } = (object.status ?? {}) as PullCredentialStatus;
    const ready = conditions.find(({ type }) => type === "Ready");
    return ready?.status === status && ready.reason === reason && message.test(ready.message) ? true : undefined;
  });

test("a login in a file reaches every namespace", async () => {
  await hold({ "x.example.com": "1" });
  await isReady("True", "SourcesRead", /1 registry covered/);
});

test("it follows the file", async () => {
  await project(dockerConfig({ "x.example.com": "2" }));
  await hold({ "x.example.com": "2" });
});

for (const [name, content] of [
  ["becomes no docker config", "a-password"],
  ["is emptied", ""],
  ["becomes half a docker config", '{"auths":{"x.example.com":{"username":"u","password":"a-password"'],
] as const) {
  test(`the file ${name}: its last good logins stay, told by name, and its next good ones are taken`, async () => {
    const [good, next] = [String(version), String(version + 1)];
    await hold({ "x.example.com": good });
    await project(content);
    await isReady("False", "SourceFailed", /file config\.json.*last good logins are used/);
    await hold({ "x.example.com": good });
    // A number of its own for the one that was good in between.
    version = Number(next);
    await project(dockerConfig({ "x.example.com": String(version + 1) }));
    await hold({ "x.example.com": String(version) });
    await isReady("True", "SourcesRead", /./);
  });
}

test("the file goes, and the leader restarts: the last good logins stay until it is back", async () => {
  const good = String(version);
  await rm(join(folder, "..data"));
  await isReady("False", "SourceFailed", /file config\.json: does not exist/);
  await leader.stop();
  leader = start();
  await createNamespace(cluster.api, "four");
  await within(waitMs, "a new namespace gets them, too", async () =>
    passwordsOf(await findSecret(cluster.api, "four"))["x.example.com"] === good ? true : undefined,
  );
  await hold({ "x.example.com": good });
  await project(dockerConfig({ "x.example.com": "back" }));
  await hold({ "x.example.com": "back" });
});

test("no status quotes the content", async () => {
  const objects = await cluster.api.list(resources.pullCredentials, {}, signal);
  assert.equal(objects.length, 2);
  assert.doesNotMatch(JSON.stringify(objects), /a-password/);
});
