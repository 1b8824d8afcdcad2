import assert from "node:assert/strict";
import { pushImage } from "../../integration/gateway/registry-client.ts";
import type { Cluster } from "../cluster.ts";
import { type KindTest, kindTest, optedInNamespace } from "../harness.ts";
import { askAs, openNodePort, readAcceptedLogin, readAdminLogin } from "../registry/direct-client.ts";

export function proveIsolation(open: () => Cluster): void {
  const name = "with the logins of two namespaces, neither reads the other's by tag, digest, blob or mount";
  kindTest(name, readOthers, open);
}

async function readOthers(test: KindTest): Promise<void> {
  const { cluster, t } = test;
  const client = await openNodePort(t, cluster);
  const names = [test.namespaceName("left"), test.namespaceName("right")] as const;
  for (const name of names) await cluster.apply(optedInNamespace(name));
  const admin = await readAdminLogin(cluster);
  for (const [mine, other] of [names, [...names].reverse()] as [string, string][]) {
    const own = await pushImage(client, admin, { repository: `${mine}/app`, tag: "1", content: test.word() });
    const theirs = await pushImage(client, admin, { repository: `${other}/app`, tag: "1", content: test.word() });
    const login = await readAcceptedLogin(client, cluster, { namespace: mine });
    const read = async (namespace: string, what: string) => {
      const path = `/v2/${namespace}/app/${what}`;
      return (await askAs(client, login, `repository:${namespace}/app:pull`, { method: "GET", path })).status;
    };
    const parts = (image: typeof own) => ["manifests/1", `manifests/${image.manifest}`, `blobs/${image.layer}`];
    for (const what of [...parts(own), "tags/list"]) assert.equal(await read(mine, what), 200, what);
    for (const what of [...parts(theirs), "tags/list"]) assert.equal(await read(other, what), 401, what);

    const catalog = await askAs(client, login, "registry:catalog:*", { method: "GET", path: "/v2/_catalog?n=1000" });
    const { repositories } = JSON.parse(catalog.body.toString()) as { repositories: readonly string[] };
    assert.ok(repositories.includes(`${mine}/app`));
    assert.ok(!repositories.includes(`${other}/app`));
  }
}
