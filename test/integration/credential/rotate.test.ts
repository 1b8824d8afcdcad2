import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import https from "node:https";
import { PassThrough } from "node:stream";
import { after, before, test } from "node:test";
import { systemClock } from "../../../src/clock.ts";
import type { ClusterApi } from "../../../src/cluster/api.ts";
import { type ClusterTransport, createTransport } from "../../../src/cluster/client.ts";
import { createClusterApi } from "../../../src/cluster/kubernetes-api.ts";
import { resources } from "../../../src/cluster/resource.ts";
import { type DevEnvironment, startDevEnvironment } from "../../../src/command/dev-environment.ts";
import { run } from "../../../src/command/rotate.ts";
import { createLog } from "../../../src/log.ts";
import { readRegistryKeys } from "../../../src/registry/keys.ts";
import { createNamespace, eventually, findSecret } from "./cluster.ts";
import { allowSecrets, refuseSecrets } from "./refusal.ts";

const log = createLog({ level: "silent" });
const signal = AbortSignal.timeout(600_000);
const spaces = ["one", "two", "three", "four"];
/** How long the previous login is still accepted when all have the new one, in `slipway dev`. */
const graceMs = 2_000;

type Login = { readonly username: string; readonly password: string };

let environment: DevEnvironment;
let transport: ClusterTransport;
let api: ClusterApi;
let agent: https.Agent;
before(async () => {
  environment = await startDevEnvironment({ state: undefined, env: process.env, announce: () => {}, log });
  const { kubeconfig, registry } = environment.file;
  transport = createTransport({ kubeconfig, clock: systemClock, random: Math.random, log });
  api = createClusterApi(transport);
  agent = new https.Agent({ keepAlive: true, ca: await readFile(registry.caFile) });
  for (const name of spaces) await createNamespace(api, name);
  for (const name of spaces) await eventually(`a login for ${name}`, () => loginIn(name));
});
after(async () => {
  agent.destroy();
  await transport.close();
  await environment.stop();
});

/** The login that a kubelet would use for an image of this namespace at this moment. */
async function loginIn(namespace: string): Promise<Login | undefined> {
  const data = ((await findSecret(api, namespace))?.data ?? {}) as Record<string, string>;
  const text = Buffer.from(data[".dockerconfigjson"] ?? "e30=", "base64").toString("utf8");
  return (JSON.parse(text) as { auths?: Record<string, Login> }).auths?.[new URL(environment.file.registry.url).host];
}

/** Asks for a token as a container runtime does. @returns the status */
async function logIn(namespace: string, { username, password }: Login): Promise<number> {
  const url = new URL("/auth/token", environment.file.registry.url);
  url.searchParams.set("service", "slipway");
  url.searchParams.set("scope", `repository:${namespace}/app:pull`);
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  https
    .get(url, { agent, auth: `${username}:${password}`, signal }, (answer) => {
      answer.resume().on("end", () => resolve(answer.statusCode ?? 0));
    })
    .on("error", reject);
  return promise;
}

async function generations(): Promise<readonly number[]> {
  const address = { namespace: "slipway-system", name: "slipway-registry-keys" };
  return (readRegistryKeys(await api.get(resources.secrets, address, signal)) ?? []).map((key) => key.generation);
}

/** Runs `slipway rotate` beside whatever else the test does. */
function rotate(args: readonly string[] = []) {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const code = run({
    args: ["--kubeconfig", environment.file.kubeconfig, ...args],
    env: {},
    stdin: new PassThrough(),
    stdout,
    stderr,
    stop: signal,
  });
  return { code, said: () => ({ stdout: String(stdout.read() ?? ""), stderr: String(stderr.read() ?? "") }) };
}

test("every namespace gets a new login, no pull is refused meanwhile, and the old login works until all have it", async () => {
  const before = await generations();
  const old = new Map(await Promise.all(spaces.map(async (name) => [name, await loginIn(name)] as const)));
  const refused: string[] = [];
  const ended: string[] = [];
  const over = new AbortController();

  /** As a kubelet that reads the Secret for each pull, and then is as quick as the grace of two seconds asks for. */
  async function pullAnew(name: string): Promise<void> {
    const beganMs = systemClock.monotonicMs();
    const now = await loginIn(name);
    const status = now === undefined ? 0 : await logIn(name, now);
    if (status !== 200 && systemClock.monotonicMs() - beganMs < graceMs) refused.push(name);
  }

  /** Once the old login is refused, the generation has to be gone and every namespace to be on the new one. */
  async function noteEnd(name: string): Promise<void> {
    if ((await generations()).length !== 1) refused.push(`${name}, old login`);
    for (const space of spaces) if ((await loginIn(space))?.password === old.get(space)?.password) ended.push(space);
  }

  async function pull(name: string): Promise<void> {
    const first = old.get(name) ?? { username: "", password: "" };
    let isOldAccepted = true;
    while (!over.signal.aborted) {
      await pullAnew(name);
      const isAccepted: boolean = isOldAccepted && (await logIn(name, first)) === 200;
      if (isOldAccepted && !isAccepted) await noteEnd(name);
      isOldAccepted = isAccepted;
    }
  }

  const pulling = Promise.all(spaces.map(pull));
  const command = rotate();
  assert.equal(await command.code, 0);
  over.abort();
  await pulling;

  assert.deepEqual(refused, [], "these were refused while the key was rotated");
  assert.deepEqual(ended, [], "these still had the old login when it was refused");
  assert.deepEqual(await generations(), [(before[0] ?? 0) + 1]);
  for (const name of spaces) {
    const now = await loginIn(name);
    assert.ok(now !== undefined);
    assert.notEqual(now.password, old.get(name)?.password);
    assert.equal(await logIn(name, now), 200);
  }
  await eventually("the old logins are refused", async () => {
    const answers = await Promise.all(
      spaces.map((name) => logIn(name, old.get(name) ?? { username: "", password: "" })),
    );
    return answers.every((status) => status === 401) ? true : undefined;
  });
  const { stdout, stderr } = command.said();
  assert.match(stdout, /have a new login/);
  assert.match(stderr, /^generation 2: .*\n/m);
  assert.ok(!stderr.includes("\u001b"), "no escape sequences elsewhere than on a terminal");
});

test("a second command joins the rotation that is under way", async () => {
  const [before] = await generations();
  // One that cannot be written keeps the first from its end before the second looks.
  const hands = { api, transport };
  await refuseSecrets(hands, "no-secrets", "four");
  const first = rotate(["--no-wait"]);
  assert.equal(await first.code, 0);
  await eventually("it has begun", async () => ((await generations()).length === 2 ? true : undefined));
  const second = rotate();
  let said = "";
  await eventually("the second joins", () => {
    said += second.said().stderr;
    return said.includes("under way already") ? true : undefined;
  });
  await allowSecrets(hands, "no-secrets");
  assert.equal(await second.code, 0);
  assert.deepEqual(await generations(), [(before ?? 0) + 1]);
});

test("progress is a metric", async () => {
  // The figures follow the Secret by a watch: a moment after it.
  const text = await eventually("one generation is left", async () => {
    const found = await (await fetch(`${environment.file.operations.url}/metrics`)).text();
    return /^slipway_credentials_key_generations 1$/m.test(found) ? found : undefined;
  });
  assert.match(text, /^slipway_credentials_rotation_namespaces\{state="total"\} \d+$/m);
});
