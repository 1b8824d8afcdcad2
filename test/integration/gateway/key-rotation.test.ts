import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { request } from "node:https";
import { createInterface } from "node:readline";
import { after, before, describe, test } from "node:test";
import type { RegistryKey } from "../../../src/config/compiled.ts";
import { registryKeysSecretName, systemNamespace } from "../../../src/config/names.ts";
import { deriveLogin, type Login } from "../../../src/credential/login.ts";
import { nextGeneration, writeRegistryKeys } from "../../../src/registry/keys.ts";
import { catalogueStreamPath, type StreamEvent } from "../../../src/registry/stream-protocol.ts";
import {
  type Certificates,
  findDistribution,
  issueCertificates,
  key,
  secretObject,
  startGateway,
  startStore,
  type TestGateway,
} from "./harness.ts";
import { createRegistryClient, manifestType, pushImage, pushLogin, type RegistryClient } from "./registry-client.ts";

const program = await findDistribution();
const skip = program === undefined ? "no program `registry` (CNCF Distribution 3.1) on PATH" : false;
const repository = "team-a/rotated";
const rotations = 4;
const pullers = 4;
const serve = "system:serviceaccount:slipway-system:serve";

type Door = { readonly gateway: TestGateway; readonly client: RegistryClient };

describe("a rotation of the registry's key under load", { skip }, () => {
  let certificates: Certificates;
  let store: Awaited<ReturnType<typeof startStore>>;
  let doors: readonly [Door, Door];
  const open = async (): Promise<Door> => {
    const gateway = await startGateway({ distributionUrl: store.url, certificates });
    return { gateway, client: createRegistryClient(gateway) };
  };
  before(async () => {
    certificates = await issueCertificates();
    store = await startStore(program ?? "", certificates.tokenCa);
    doors = [await open(), await open()];
    const image = { repository, tag: "1", content: "layer" };
    assert.equal((await pushImage(doors[0].client, pushLogin("team-a", "uid-a"), image)).status, 201);
  });
  after(async () => {
    for (const { client, gateway } of doors) {
      client.close();
      await gateway.stop();
    }
    await store.stop();
  });

  const give = (door: Door, keys: readonly RegistryKey[]) => {
    const secret = secretObject(registryKeysSecretName, { "keys.json": writeRegistryKeys(keys) });
    door.gateway.secrets.set(`${systemNamespace}/${registryKeysSecretName}`, secret);
  };
  /** The generations that every gateway says it accepts. */
  const accepted = async (): Promise<readonly number[]> => {
    const [first, second] = [await toldBy(doors[0].gateway), await toldBy(doors[1].gateway)];
    return first.filter((generation) => second.includes(generation));
  };
  const loginOf = (from: RegistryKey): Login =>
    deriveLogin(from, { purpose: "pull", namespace: "team-a", uid: "uid-a" });

  /** As a kubelet: reads the Secret, takes its time, asks one gateway for a token and pulls through another. */
  async function pull(handedOut: () => RegistryKey, round: number): Promise<void> {
    const login = loginOf(handedOut());
    for (let pause = round % 7; pause > 0; pause--) await new Promise((resolve) => setImmediate(resolve));
    const [at, through] = round % 2 === 0 ? doors : doors.toReversed();
    const token = await at?.client.token(login, `repository:${repository}:pull`);
    const headers = { authorization: `Bearer ${token}`, accept: manifestType };
    const answer = await through?.client.ask("GET", `/v2/${repository}/manifests/1`, { headers });
    assert.equal(answer?.status, 200, `round ${round}`);
  }

  test("refuses no pull at any of two gateways, while each learns of it at another moment", async () => {
    let keys: readonly RegistryKey[] = [key];
    let handedOut = key;
    let isOver = false;
    const rounds = Array.from({ length: pullers }, () => 0);
    const load = rounds.map(async (_, index) => {
      while (!isOver) {
        await pull(() => handedOut, index + (rounds[index] ?? 0));
        rounds[index] = (rounds[index] ?? 0) + 1;
      }
    });
    // A pull that fails shows at once, whatever the rotation waits for.
    const failed = Promise.all(load).then(() => undefined);
    /** Every puller has begun and ended a whole pull since. */
    const everyPullerWentOn = async () => {
      const since = [...rounds];
      const hasMoved = () => rounds.every((count, index) => count > (since[index] ?? 0) + 1);
      while (!hasMoved()) await Promise.race([failed, new Promise((resolve) => setImmediate(resolve))]);
    };
    const retired: RegistryKey[] = [];
    for (let rotation = 0; rotation < rotations; rotation++) {
      const previous = handedOut;
      keys = nextGeneration(keys, randomBytes(32));
      const newest = keys[0] ?? assert.fail();
      const [early, late] = rotation % 2 === 0 ? doors : ([doors[1], doors[0]] as const);
      give(early, keys);
      await everyPullerWentOn();
      assert.ok(!(await accepted()).includes(newest.generation), "one gateway does not know it yet");
      give(late, keys);
      assert.ok((await accepted()).includes(newest.generation));
      handedOut = newest;
      await everyPullerWentOn();
      keys = [newest];
      for (const door of [late, early]) {
        give(door, keys);
        await everyPullerWentOn();
      }
      retired.push(previous);
    }
    isOver = true;
    await failed;
    assert.ok(
      rounds.every((count) => count >= rotations * 4),
      rounds.join(" "),
    );
    for (const { client } of doors) {
      for (const old of retired) await assert.rejects(client.token(loginOf(old)), /401/);
      assert.ok(await client.token(loginOf(handedOut)));
    }
  });

  test("would refuse pulls if it were handed out before every gateway knew it", async () => {
    const current = [{ generation: rotations + 1, secret: randomBytes(32).toString("base64") }];
    for (const door of doors) give(door, current);
    const next = nextGeneration(current, randomBytes(32));
    give(doors[0], next);
    const early = loginOf(next[0] ?? assert.fail());
    assert.ok(await doors[0].client.token(early));
    await assert.rejects(doors[1].client.token(early), /401/);
  });
});

/** What a gateway says at the start of a catalogue stream. */
async function toldBy(gateway: TestGateway): Promise<readonly number[]> {
  const claims = { sub: serve, aud: ["slipway-gateway"], exp: Math.floor(Date.now() / 1_000) + 600 };
  const token = `e30.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.c2ln`;
  const audiences = ["slipway-gateway"];
  gateway.tokens.set(token, { kind: "authenticated", username: serve, uid: "1", groups: [], extra: {}, audiences });
  const { hostname, port } = new URL(gateway.url);
  const headers = { authorization: `Bearer ${token}` };
  const sent = request({ hostname, port, path: catalogueStreamPath, headers, ca: gateway.ca, agent: false }).end();
  const [answer] = (await once(sent, "response")) as [IncomingMessage];
  const line = await createInterface({ input: answer })[Symbol.asyncIterator]().next();
  sent.destroy();
  const event = JSON.parse(String(line.value)) as StreamEvent;
  return event.type === "hello" ? event.generations : assert.fail(event.type);
}
