import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ApiError, type ClusterApi } from "../cluster/api.ts";
import { ensureProbeImage, removeLeftovers } from "./contract-leftovers.ts";
import type { ContractRegistry } from "./contract-run.ts";

const never = new AbortController().signal;

function registryWith(tags: Readonly<Record<string, string>>) {
  const known = new Map(Object.entries(tags));
  const uploads: string[] = [];
  const registry: ContractRegistry = {
    uploadBlob: async (_repository, { digest }) => void uploads.push(digest),
    putManifest: async (repository, tag, { digest }) => void known.set(`${repository}:${tag}`, digest),
    headManifest: async (repository, tag) => {
      const digest = known.get(`${repository}:${tag}`);
      return digest === undefined ? undefined : { digest, mediaType: "", size: 1 };
    },
    deleteManifest: async (repository, digest) => {
      const found = [...known].filter(([name, value]) => name.startsWith(`${repository}:`) && value === digest);
      for (const [name] of found) known.delete(name);
      return found.length > 0;
    },
    async *tags(repository) {
      const names = [...known.keys()].filter((name) => name.startsWith(`${repository}:`));
      for (const name of names) yield [name.slice(repository.length + 1)];
    },
  };
  return { registry, known, uploads };
}

describe("what a crashed check has left", () => {
  test("goes: images of other processes, and pods in both namespaces; what runs now and the probe stay", async () => {
    const { registry, known } = registryWith({
      "slipway-check/contract:old-1": "sha256:1",
      "slipway-check/contract:own-2": "sha256:2",
      "slipway-check/probe:latest": "sha256:3",
    });
    const asked: string[] = [];
    const deleted: string[] = [];
    const api: Pick<ClusterApi, "list" | "delete"> = {
      list: async (_resource, { namespace, labelSelector }) => {
        asked.push(`${namespace} ${labelSelector}`);
        return [{ metadata: { name: "left", namespace: namespace ?? "" } }];
      },
      delete: async (_resource, { namespace, name }) => {
        deleted.push(`${namespace}/${name}`);
        if (namespace === "slipway-check") throw new ApiError({ status: 404, reason: "NotFound", message: "gone" });
      },
    };
    await removeLeftovers({ api, run: "own" }, registry, never);
    const selector = "slipway.dev/contract,slipway.dev/contract!=own";
    assert.deepEqual(asked, [`slipway-check ${selector}`, `slipway-check-other ${selector}`]);
    assert.deepEqual(deleted, ["slipway-check/left", "slipway-check-other/left"]);
    assert.deepEqual([...known.keys()].sort(), ["slipway-check/contract:own-2", "slipway-check/probe:latest"]);
  });
});

describe("the image of the hourly look", () => {
  test("is pushed where it is missing, and only there", async () => {
    const { registry, known, uploads } = registryWith({});
    await ensureProbeImage(registry, never);
    await ensureProbeImage(registry, never);
    assert.deepEqual([...known.keys()], ["slipway-check/probe:latest"]);
    assert.equal(uploads.length, 2);
  });
});
