import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Registry } from "prom-client";
import { systemClock } from "../../../src/clock.ts";
import { createReflector } from "../../../src/cluster/reflector.ts";
import { resources } from "../../../src/cluster/resource.ts";
import { nodeNamespace, systemNamespace } from "../../../src/config/names.ts";
import { createLog } from "../../../src/log.ts";
import { certificateNames, isIssuedBy, isPair, readBundle } from "../../../src/tls/certificate.ts";
import { createCertificateKeeper } from "../../../src/tls/keeper.ts";
import { createBundlePublisher } from "../../../src/tls/publish.ts";
import { secretValue } from "../../../src/tls/secret-data.ts";
import { createFastClock } from "../../fake/clock.ts";
import { createHandMadeAuthority } from "../../fake/hand-made-authority.ts";
import { type RealApiServer, signal, startRealApiServer } from "../cluster/api-server.ts";

const { secrets, configMaps, namespaces } = resources;

describe("two leaders at once, each with a cache of its own", () => {
  let server: RealApiServer;
  const stop = new AbortController();
  const running: Promise<unknown>[] = [];
  const passes = [0, 0];

  before(async () => {
    server = await startRealApiServer();
    for (const name of [systemNamespace, nodeNamespace]) {
      await server.api.create(namespaces, { metadata: { name } }, { signal });
    }
    for (const which of [0, 1]) running.push(...(await startKeeper(which)));
  });
  after(async () => {
    stop.abort();
    await Promise.allSettled(running);
    await server.stop();
  });

  async function startKeeper(which: number): Promise<readonly Promise<unknown>[]> {
    const { api, transport } = server;
    const [log, metrics] = [createLog({ level: "silent" }), new Registry()];
    const shared = { clock: createFastClock(5), random: Math.random, log, metrics };
    const store = createReflector({ ...shared, transport, resource: secrets, namespace: systemNamespace });
    const publisher = createBundlePublisher({ api });
    const keeper = createCertificateKeeper({
      ...shared,
      api,
      secrets: store,
      namespace: systemNamespace,
      wanted: () => ({
        serve: certificateNames(["slipway.slipway-system.svc"]),
        registry: certificateNames(["registry.slipway-system.svc"]),
      }),
      publisher: {
        async publish(bundle, publishing) {
          await publisher.publish(bundle, publishing);
          passes[which] = (passes[which] ?? 0) + 1;
        },
      },
      acknowledged: () => false,
      tokenAuthorityDeployed: () => true,
    });
    const reflecting = store.run(stop.signal);
    await store.whenSynced(signal);
    return [reflecting, keeper.run(stop.signal)];
  }

  const read = (name: string) => server.api.get(secrets, { namespace: systemNamespace, name }, signal);
  const leafNames = ["slipway-serve-tls", "slipway-registry-tls"] as const;
  const versions = async () =>
    (await server.api.list(secrets, { namespace: systemNamespace }, signal)).map(
      ({ metadata }) => `${metadata.name} ${metadata.resourceVersion}`,
    );

  /** Waits until neither keeper has written anything for a pass of each. */
  async function untilQuiet(): Promise<void> {
    for (let before: readonly string[] = []; ; ) {
      const seen = [...passes];
      // A pass that changes nothing is followed by the next one 5 s later, of a faster clock, since a new CA has yet to spread.
      while (passes.some((count, which) => count <= (seen[which] ?? 0))) await systemClock.sleep(100, signal);
      const now = await versions();
      if (now.length >= 5 && now.join() === before.join()) return;
      before = now;
    }
  }

  async function assertOneAuthority(): Promise<void> {
    const authority = await read("slipway-ca");
    const pair = { certificate: secretValue(authority, "ca.crt"), key: secretValue(authority, "ca.key") };
    assert.ok(isPair(pair), "certificate and key are of one writer");
    const bundle = secretValue(authority, "bundle.crt");
    for (const name of leafNames) {
      const leaf = await read(name);
      assert.equal(secretValue(leaf, "ca.crt"), bundle);
      const issuers = readBundle(bundle).filter(({ pem }) => isIssuedBy(secretValue(leaf, "tls.crt"), pem));
      assert.equal(issuers.length, 1, `${name} is signed by a CA of the bundle`);
    }
    const published = await server.api.get(configMaps, { namespace: nodeNamespace, name: "slipway-ca" }, signal);
    assert.equal((published.data as Record<string, string>)["ca.crt"], bundle);
  }

  test("from nothing they end at one authority, and then write no more", async () => {
    await untilQuiet();
    await assertOneAuthority();
    assert.equal(readBundle(secretValue(await read("slipway-ca"), "bundle.crt")).length, 1);
  });

  test("an authority that is deleted, and one that is put there by hand, end in the same way", async () => {
    const old = secretValue(await read("slipway-ca"), "ca.crt");
    await server.api.delete(secrets, { namespace: systemNamespace, name: "slipway-ca" }, { signal });
    await untilQuiet();
    await assertOneAuthority();
    const bundle = readBundle(secretValue(await read("slipway-ca"), "bundle.crt"));
    assert.equal(bundle.length, 2);
    assert.ok(
      bundle.some(({ pem }) => pem.trim() === old.trim()),
      "its leaves are still served",
    );
    const own = createHandMadeAuthority({ nowMs: Date.now() });
    const data = { "ca.crt": own.certificate, "ca.key": own.key };
    const encoded = Object.entries(data).map(([key, text]) => [key, Buffer.from(text).toString("base64")]);
    const address = { namespace: systemNamespace, name: "slipway-ca" };
    await server.api.merge(secrets, address, { data: Object.fromEntries(encoded) }, signal);
    await untilQuiet();
    await assertOneAuthority();
    assert.equal(secretValue(await read("slipway-ca"), "ca.crt"), own.certificate);
  });

  test("the published ConfigMap comes back when it is edited or deleted by hand", async () => {
    const address = { namespace: nodeNamespace, name: "slipway-ca" };
    const data = () =>
      server.api.get(configMaps, address, signal).then(
        (found) => (found.data as Record<string, string>)["ca.crt"],
        () => undefined,
      );
    const good = await data();
    await server.api.merge(configMaps, address, { data: { "ca.crt": "mine" } }, signal);
    while ((await data()) !== good) await systemClock.sleep(100, signal);
    await server.api.delete(configMaps, address, { signal });
    while ((await data()) !== good) await systemClock.sleep(100, signal);
  });
});
