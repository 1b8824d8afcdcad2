import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Registry } from "prom-client";
import { systemClock } from "../../../src/clock.ts";
import { ApiError } from "../../../src/cluster/api.ts";
import { createReflector } from "../../../src/cluster/reflector.ts";
import { resources } from "../../../src/cluster/resource.ts";
import { nodeNamespace, systemNamespace } from "../../../src/config/names.ts";
import { createLog } from "../../../src/log.ts";
import { certificateNames, isIssuedBy, readBundle, readCertificate } from "../../../src/tls/certificate.ts";
import { createCertificateWriter } from "../../../src/tls/certificate-writer.ts";
import { createCertificateKeeper } from "../../../src/tls/keeper.ts";
import { serveCertificateNames } from "../../../src/tls/names.ts";
import { createBundlePublisher } from "../../../src/tls/publish.ts";
import { secretValue } from "../../../src/tls/secret-data.ts";
import { type RealApiServer, signal, startRealApiServer } from "../cluster/api-server.ts";

const { secrets, configMaps, namespaces, mutatingWebhookConfigurations } = resources;
const webhook = (name: string) => ({
  name,
  clientConfig: { service: { name: "slipway", namespace: systemNamespace, path: "/mutate", port: 8443 } },
  admissionReviewVersions: ["v1"],
  sideEffects: "NoneOnDryRun",
  failurePolicy: "Ignore",
  rules: [{ apiGroups: [""], apiVersions: ["v1"], operations: ["CREATE"], resources: ["pods"] }],
});
/** A rejection by an object that is there already. */
function isConflict(rejection: object): boolean {
  const { reason } = rejection as { readonly reason?: unknown };
  return reason instanceof ApiError && reason.reason === "AlreadyExists";
}
const configuration = (...names: string[]) => ({ metadata: { name: "slipway" }, webhooks: names.map(webhook) });

describe("certificates on a real API server", () => {
  let server: RealApiServer;
  let keeper: ReturnType<typeof createCertificateKeeper>;
  let running: Promise<unknown>;
  let passes = 0;
  const stop = new AbortController();
  let registryNames = certificateNames(["registry.slipway-system.svc"]);

  before(async () => {
    server = await startRealApiServer();
    for (const name of [systemNamespace, nodeNamespace]) {
      await server.api.create(namespaces, { metadata: { name } }, { signal });
    }
    await server.api.create(mutatingWebhookConfigurations, configuration("a.slipway.dev", "b.slipway.dev"), { signal });
    const shared = {
      clock: systemClock,
      random: Math.random,
      log: createLog({ level: "silent" }),
      metrics: new Registry(),
    };
    const store = createReflector({
      ...shared,
      transport: server.transport,
      resource: secrets,
      namespace: systemNamespace,
    });
    const publisher = createBundlePublisher({ api: server.api });
    keeper = createCertificateKeeper({
      ...shared,
      api: server.api,
      secrets: store,
      namespace: systemNamespace,
      wanted: () => ({ serve: serveCertificateNames(), registry: registryNames }),
      publisher: {
        async publish(text, publishing) {
          await publisher.publish(text, publishing);
          passes++;
        },
      },
      acknowledged: () => true,
      tokenAuthorityDeployed: () => true,
    });
    const reflecting = store.run(stop.signal);
    await store.whenSynced(signal);
    running = Promise.all([reflecting, keeper.run(stop.signal)]);
  });
  after(async () => {
    stop.abort();
    await running.catch((error: unknown) => {
      if (!(error instanceof Error && error.name === "AbortError")) throw error;
    });
    await server.stop();
  });

  const read = (name: string) => server.api.get(secrets, { namespace: systemNamespace, name }, signal);
  /** Waits for a condition of the cluster: the keeper works by itself. */
  async function until<T>(look: () => Promise<T | undefined>): Promise<T> {
    for (;;) {
      const found = await look().catch(() => undefined);
      if (found !== undefined) return found;
      await systemClock.sleep(50, signal);
    }
  }
  const caBundles = async () => {
    const { webhooks } = await server.api.get(mutatingWebhookConfigurations, { name: "slipway" }, signal);
    return (webhooks as { clientConfig: { caBundle?: string } }[]).map(({ clientConfig }) => clientConfig.caBundle);
  };
  const bundle = async () => secretValue(await read("slipway-ca"), "bundle.crt");

  test("CAs and leaves appear, and their bundle wherever it is read", async () => {
    const leaf = await until(() => read("slipway-registry-tls"));
    const ca = await bundle();
    assert.ok(isIssuedBy(secretValue(leaf, "tls.crt"), ca));
    assert.equal(secretValue(leaf, "ca.crt"), ca);
    const token = await until(() => read("slipway-token-signing"));
    assert.ok(isIssuedBy(secretValue(token, "tls.crt"), secretValue(await read("slipway-token-ca"), "ca.crt")));
    const encoded = Buffer.from(ca).toString("base64");
    await until(async () => ((await caBundles()).every((each) => each === encoded) ? true : undefined));
    const address = { namespace: nodeNamespace, name: "slipway-ca" };
    const map = await until(() => server.api.get(configMaps, address, signal));
    assert.equal((map.data as Record<string, string>)["ca.crt"], ca);
  });

  test("publishing keeps every other field of the webhooks, and what is applied again keeps the bundle", async () => {
    const object = await server.api.get(mutatingWebhookConfigurations, { name: "slipway" }, signal);
    const [first] = object.webhooks as {
      failurePolicy: string;
      rules: unknown[];
      clientConfig: { service: unknown };
    }[];
    assert.equal(first?.failurePolicy, "Ignore");
    assert.equal(first.rules.length, 1);
    assert.deepEqual(first.clientConfig.service, webhook("x").clientConfig.service);
    const before = await caBundles();
    await server.api.apply(mutatingWebhookConfigurations, configuration("a.slipway.dev", "b.slipway.dev"), {
      force: true,
      signal,
    });
    assert.deepEqual(await caBundles(), before);
  });

  test("a webhook that joins the configuration gets the bundle at the next look", async () => {
    await server.api.apply(
      mutatingWebhookConfigurations,
      configuration("a.slipway.dev", "b.slipway.dev", "c.slipway.dev"),
      { force: true, signal },
    );
    keeper.look();
    const all = await until(async () => {
      const bundles = await caBundles();
      return bundles.every((each) => each !== undefined) ? bundles : undefined;
    });
    assert.equal(new Set(all).size, 1);
    assert.equal(all.length, 3);
  });

  test("nothing is written while nothing changes", async () => {
    const versions = async () =>
      (await server.api.list(secrets, { namespace: systemNamespace }, signal)).map(
        (each) => each.metadata.resourceVersion,
      );
    const before = await versions();
    for (let count = 0; count < 3; count++) {
      const seen = passes;
      keeper.look();
      await until(async () => (passes > seen ? true : undefined));
    }
    assert.deepEqual(await versions(), before);
  });

  test("another name is a new leaf of the same CA", async () => {
    const ca = await bundle();
    registryNames = certificateNames(["registry.slipway-system.svc", "10.96.0.7"]);
    keeper.look();
    const leaf = await until(async () => {
      const secret = await read("slipway-registry-tls");
      const facts = readCertificate(secretValue(secret, "tls.crt"));
      return facts?.names.addresses.includes("10.96.0.7") ? secret : undefined;
    });
    assert.ok(isIssuedBy(secretValue(leaf, "tls.crt"), ca));
  });

  const damages = [
    { name: "deleted", damage: { kind: "delete" } },
    { name: "corrupted", damage: { kind: "merge", patch: { data: { "tls.key": "bm90IGEga2V5" } } } },
    { name: "emptied", damage: { kind: "merge", patch: { data: null } } },
    { name: "replaced by another type", damage: { kind: "replace" } },
  ] as const;
  for (const { name, damage } of damages) {
    test(`a leaf that was ${name} is repaired`, async () => {
      const address = { namespace: systemNamespace, name: "slipway-serve-tls" };
      const before = secretValue(await read("slipway-serve-tls"), "tls.crt");
      if (damage.kind === "merge") await server.api.merge(secrets, address, damage.patch, signal);
      else await server.api.delete(secrets, address, { signal });
      if (damage.kind === "replace") {
        const data = { "tls.crt": "eA==", "tls.key": "eA==" };
        const object = { metadata: address, type: "kubernetes.io/tls", data };
        // The keeper may have been faster: then there is nothing to replace, and the repair has been seen.
        const outcome = await Promise.allSettled([server.api.create(secrets, object, { signal })]);
        assert.ok(outcome.every(({ status, ...rest }) => status === "fulfilled" || isConflict(rest)));
      }
      const repaired = await until(async () => {
        const secret = await read("slipway-serve-tls");
        const certificate = secretValue(secret, "tls.crt");
        const isGood = secret.type === "Opaque" && certificate !== before && readCertificate(certificate) !== undefined;
        return isGood ? secret : undefined;
      });
      assert.ok(isIssuedBy(secretValue(repaired, "tls.crt"), await bundle()));
    });
  }

  test("of two who both saw no Secret the first makes it, the second is told and changes nothing", async () => {
    const namespace = await server.createNamespace();
    const writer = createCertificateWriter({ api: server.api, namespace });
    const content = (text: string) => ({ type: "Opaque", data: { "ca.crt": Buffer.from(text).toString("base64") } });
    const outcomes = await Promise.allSettled(
      ["one", "two"].map((text) => writer.write("slipway-ca", undefined, content(text), signal)),
    );
    const failed = outcomes.filter((outcome) => outcome.status === "rejected");
    assert.equal(failed.length, 1);
    assert.ok(failed[0]?.reason instanceof ApiError && failed[0].reason.status === 409);
    const winner = outcomes.find((outcome) => outcome.status === "fulfilled")?.value;
    const there = await server.api.get(secrets, { namespace, name: "slipway-ca" }, signal);
    assert.deepEqual(there.data, winner?.data);
    const changed = await writer.write("slipway-ca", there, content("three"), signal);
    assert.equal(secretValue(changed, "ca.crt"), "three");
  });

  test("a CA that was deleted is made anew, and the old one stays trusted while its leaves are served", async () => {
    const before = await bundle();
    const leaf = secretValue(await read("slipway-registry-tls"), "tls.crt");
    await server.api.delete(secrets, { namespace: systemNamespace, name: "slipway-ca" }, { signal });
    const after = await until(async () => {
      const text = await bundle();
      return readBundle(text).length > 1 && text !== before ? text : undefined;
    });
    assert.ok(readBundle(after).some((each) => isIssuedBy(leaf, each.pem)));
    assert.equal(secretValue(await read("slipway-registry-tls"), "tls.crt"), leaf);
  });
});
