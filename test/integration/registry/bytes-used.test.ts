import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../../../src/clock.ts";
import { measureStore } from "../../../src/gateway/store-size.ts";
import { createLog } from "../../../src/log.ts";
import { createCatalogueStream } from "../../../src/registry/stream.ts";
import { createManualClock } from "../../fake/clock.ts";
import { findDistribution, issueCertificates, startGateway, startStore } from "../gateway/harness.ts";
import { createRegistryClient, pushImage, pushLogin } from "../gateway/registry-client.ts";

const program = await findDistribution();
const skip = program === undefined ? "no program `registry` (CNCF Distribution 3.1) on PATH" : false;
const signal = AbortSignal.timeout(600_000);

test("serve learns from the gateway's stream what Distribution has stored", { skip }, async (t) => {
  const certificates = await issueCertificates();
  const store = await startStore(program ?? "", certificates.tokenCa);
  const storeDirectory = `${store.folder}/data`;
  const clock = createManualClock();
  // Tokens are dated by the true time, from which Distribution allows a minute.
  const needs = { clock: { ...clock, nowMs: systemClock.nowMs }, storeDirectory };
  const gateway = await startGateway({ distributionUrl: store.url, certificates, needs });
  const client = createRegistryClient(gateway);
  const claims = {
    sub: "system:serviceaccount:slipway-system:serve",
    aud: ["slipway-gateway"],
    exp: Date.now() / 1_000 + 600,
  };
  const token = `e30.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.c2ln`;
  const account = { kind: "authenticated", username: claims.sub, uid: "1", groups: [], extra: {} } as const;
  gateway.tokens.set(token, { ...account, audiences: claims.aud });
  const told: (number | undefined)[] = [];
  const stop = new AbortController();
  const stream = createCatalogueStream({
    endpoint: new URL(gateway.url).host,
    serverName: "registry.slipway-system.svc",
    ca: () => certificates.ca,
    token: async () => token,
    listener: {
      opened: (hello) => void told.push(hello.bytesUsed),
      event: (event) => void (event.type === "heartbeat" && told.push(event.bytesUsed)),
      closed: () => undefined,
    },
    clock: systemClock,
    random: Math.random,
    log: createLog({ level: "silent" }),
  });
  const reading = stream.run(stop.signal);
  t.after(async () => {
    stop.abort();
    await reading;
    client.close();
    const stopping = gateway.stop();
    await clock.advance(60_000);
    await stopping;
    await store.stop();
  });
  /** Moves the gateway's clock on until the reader was told so. */
  const untilTold = async (bytes: number) => {
    while (told.at(-1) !== bytes) {
      signal.throwIfAborted();
      await clock.advance(1_000);
      await systemClock.sleep(5, signal);
    }
  };
  while (told.length === 0) await systemClock.sleep(5, signal);
  assert.equal(told[0], undefined, "nothing is known before the first measurement");
  await pushImage(client, pushLogin("team-a", "uid-a"), { repository: "team-a/app", tag: "v1" });
  const first = await measureStore(storeDirectory, signal);
  assert.ok(first > 0);
  await untilTold(first);
  await pushImage(client, pushLogin("team-a", "uid-a"), { repository: "team-a/other", tag: "v2" });
  const second = await measureStore(storeDirectory, signal);
  assert.ok(second > first);
  await untilTold(second);
  assert.ok(!told.includes(0));
  assert.match(await gateway.metrics.metrics(), new RegExp(`^slipway_gateway_store_bytes ${second}$`, "m"));
});

test("storage that cannot be measured is unknown, and the gateway goes on", { skip }, async (t) => {
  const certificates = await issueCertificates();
  const store = await startStore(program ?? "", certificates.tokenCa);
  const clock = createManualClock();
  const needs = { clock: { ...clock, nowMs: systemClock.nowMs }, storeDirectory: `${store.folder}/elsewhere` };
  const gateway = await startGateway({ distributionUrl: store.url, certificates, needs });
  const client = createRegistryClient(gateway);
  t.after(async () => {
    client.close();
    const stopping = gateway.stop();
    await clock.advance(60_000);
    await stopping;
    await store.stop();
  });
  while (!gateway.lines.some((line) => line.includes("could not be measured"))) {
    signal.throwIfAborted();
    await clock.advance(1_000);
    await systemClock.sleep(5, signal);
  }
  assert.doesNotMatch(await gateway.metrics.metrics(), /^slipway_gateway_store_bytes \d/m);
  await pushImage(client, pushLogin("team-a", "uid-a"), { repository: "team-a/app", tag: "v1" });
});
