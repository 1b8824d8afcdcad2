import { reflectorContract } from "../../test/contract/reflector.ts";
import { serveCollection } from "../../test/fake/api-collection.ts";
import { startFakeApi } from "../../test/fake/api-server.ts";
import { systemClock } from "../clock.ts";
import { createLog } from "../log.ts";
import { createTransport } from "./client.ts";

reflectorContract("the fake API server", async () => {
  const opened: (() => Promise<void>)[] = [];
  return {
    async open() {
      const api = await startFakeApi();
      const log = createLog({ level: "silent" });
      const transport = createTransport({ kubeconfig: api.kubeconfig, clock: systemClock, random: Math.random, log });
      const collection = serveCollection(api, "a");
      opened.push(async () => {
        await transport.close();
        await api.close();
      });
      return {
        transport,
        namespace: "a",
        api,
        create: async (name, data, labels) => collection.put(name, data, labels),
        update: async (name, data, labels) => collection.put(name, data, labels),
        remove: async (name) => collection.remove(name),
      };
    },
    async close() {
      for (const close of opened) await close();
    },
  };
});
