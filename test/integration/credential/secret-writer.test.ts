import { after, before } from "node:test";
import { createSecretWriter } from "../../../src/namespace/secret-writer.ts";
import { secretWriterContract } from "../../contract/secret-writer.ts";
import { createNamespace, findSecret, startTestCluster, type TestCluster } from "./cluster.ts";

let cluster: TestCluster;
let count = 0;
before(async () => {
  cluster = await startTestCluster();
});
after(() => cluster.stop());

const signal = AbortSignal.timeout(600_000);
const encode = (text: string) => Buffer.from(text).toString("base64");

secretWriterContract("server-side apply", async () => {
  const namespace = `writer-${++count}`;
  await createNamespace(cluster.api, namespace);
  const address = { namespace, name: "slipway-pull" };
  return {
    writer: createSecretWriter({ api: cluster.api }),
    namespace,
    async placeForeign() {
      const object = {
        apiVersion: "v1",
        kind: "Secret",
        metadata: address,
        type: "kubernetes.io/dockerconfigjson",
        data: { ".dockerconfigjson": encode('{"auths":{"foreign.example.com":{"password":"theirs"}}}') },
      };
      await cluster.transport.json({
        method: "POST",
        path: `/api/v1/namespaces/${namespace}/secrets`,
        query: { fieldManager: "somebody" },
        body: object,
        signal,
      });
    },
    async edit() {
      const edited = (await cluster.transport.json({
        method: "PATCH",
        path: `/api/v1/namespaces/${namespace}/secrets/slipway-pull`,
        query: { fieldManager: "somebody" },
        contentType: "application/merge-patch+json",
        body: { data: { ".dockerconfigjson": encode('{"auths":{"registry.example.com":{"password":"edited"}}}') } },
        signal,
      })) as { metadata: { uid: string; resourceVersion: string } };
      return { uid: edited.metadata.uid, resourceVersion: edited.metadata.resourceVersion };
    },
    async content() {
      const secret = await findSecret(cluster.api, namespace);
      if (secret === undefined) return undefined;
      return Buffer.from((secret.data as Record<string, string>)[".dockerconfigjson"] ?? "", "base64").toString("utf8");
    },
  };
});
