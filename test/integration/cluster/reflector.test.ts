import { resources } from "../../../src/cluster/resource.ts";
import { reflectorContract } from "../../contract/reflector.ts";
import { startFakeApi } from "../../fake/api-server.ts";
import { signal, startRealApiServer } from "./api-server.ts";

reflectorContract("a real API server behind a proxy of faults", async () => {
  const server = await startRealApiServer();
  const closing: (() => Promise<void>)[] = [];
  return {
    async open() {
      const namespace = await server.createNamespace();
      const proxy = await startFakeApi([], { upstream: server.controlPlane.kubeconfigPath });
      const transport = server.connect(proxy.kubeconfig);
      closing.push(() => proxy.close());
      const { configMaps } = resources;
      return {
        transport,
        namespace,
        api: proxy,
        async create(name, data, labels = {}) {
          await server.api.create(configMaps, { metadata: { namespace, name, labels }, data }, { signal });
        },
        async update(name, data, labels = {}) {
          const { metadata } = await server.api.get(configMaps, { namespace, name }, signal);
          await server.api.replace(configMaps, { metadata: { ...metadata, labels }, data }, { signal });
        },
        remove: (name) => server.api.delete(configMaps, { namespace, name }, { signal }),
      };
    },
    async close() {
      await server.stop();
      for (const close of closing) await close();
    },
  };
});
