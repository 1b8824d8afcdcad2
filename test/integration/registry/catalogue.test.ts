import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { systemClock } from "../../../src/clock.ts";
import { gatewayAudience } from "../../../src/config/names.ts";
import { createLog } from "../../../src/log.ts";
import { createCatalogue } from "../../../src/registry/catalogue.ts";
import { createCatalogueFeed } from "../../../src/registry/catalogue-feed.ts";
import { createRegistryClient, type RegistryClient } from "../../../src/registry/client.ts";
import { checkStorage } from "../../../src/registry/storage-check.ts";
import { createManualClock } from "../../fake/clock.ts";
import {
  adminLogin,
  type Certificates,
  findDistribution,
  issueCertificates,
  startGateway,
  startStore,
  type TestGateway,
} from "../gateway/harness.ts";
import { pushSmallImage } from "./distribution.ts";

const signal = AbortSignal.timeout(600_000);
const serveUser = "system:serviceaccount:slipway-system:serve";

describe("client and catalogue through the gateway, before CNCF Distribution", () => {
  let certificates: Certificates;
  let store: Awaited<ReturnType<typeof startStore>>;
  let gateway: TestGateway;
  let client: RegistryClient;
  before(async () => {
    certificates = await issueCertificates();
    const program = await findDistribution();
    assert.ok(program, "the program registry is neither in KUBEBUILDER_ASSETS nor on PATH");
    store = await startStore(program, certificates.tokenCa);
    gateway = await startGateway({ distributionUrl: store.url, certificates });
    client = clientAs(adminLogin);
  });
  after(async () => {
    client.close();
    await gateway.stop();
    await store.stop();
  });

  function clientAs(login: { readonly username: string; readonly password: string }): RegistryClient {
    const { url: origin, ca } = gateway;
    return createRegistryClient({ origin, ca: () => ca, login: () => login, clock: systemClock, random: Math.random });
  }

  async function until(holds: () => boolean): Promise<void> {
    while (!holds()) await systemClock.sleep(5, signal);
  }

  test("the admin's login pushes, lists and deletes by the token flow", async () => {
    const manifest = await pushSmallImage(client, "demo/app", "1");
    const names: string[] = [];
    for await (const page of client.repositories(signal)) names.push(...page);
    assert.deepEqual(names, ["demo/app"]);
    assert.equal(await client.deleteManifest("demo/app", manifest.digest, signal), true);
  });

  test("a wrong password is refused with 401", async () => {
    const stranger = clientAs({ username: "admin", password: "wrong" });
    await assert.rejects(stranger.ping(signal), { status: 401 });
    stranger.close();
  });

  test("a write can be tried through the gateway", async () => {
    assert.deepEqual(await checkStorage(client, signal), { kind: "writable" });
  });

  test("what is pushed and deleted is in the catalogue at once: no look of ours has to come first", async (t) => {
    // Nothing that serve waits for comes about while its clock stands still: no poll, no listing.
    const clock = createManualClock();
    await pushSmallImage(client, "demo/before", "1");
    const claims = { sub: serveUser, aud: [gatewayAudience], exp: Math.floor(systemClock.nowMs() / 1_000) + 600 };
    const token = [{ alg: "none" }, claims, {}]
      .map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"))
      .join(".");
    gateway.tokens.set(token, {
      kind: "authenticated",
      username: serveUser,
      uid: "u",
      groups: [],
      audiences: [gatewayAudience],
      extra: {},
    });
    const catalogue = createCatalogue({ clock });
    const feed = createCatalogueFeed({
      catalogue,
      endpoints: () => [new URL(gateway.url).host],
      hasStream: () => true,
      client: () => client,
      stream: {
        serverName: () => "registry.slipway-system.svc",
        ca: () => gateway.ca,
        token: async () => token,
      },
      clock,
      random: Math.random,
      log: createLog({ level: "silent" }),
    });
    const stop = new AbortController();
    const running = feed.run(stop.signal);
    t.after(async () => {
      stop.abort();
      await running;
    });
    await until(() => feed.hasReadOnce());
    assert.equal(catalogue.has("demo/before", "1", undefined), true);
    assert.deepEqual(feed.generations(), new Set([1]));
    const manifest = await pushSmallImage(client, "demo/after", "1");
    await until(() => catalogue.has("demo/after", "1", manifest.digest) === true);
    await client.deleteManifest("demo/after", manifest.digest, signal);
    await until(() => catalogue.has("demo/after", "1", undefined) === false);
  });
});
