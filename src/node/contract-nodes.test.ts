import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createManualClock } from "../../test/fake/clock.ts";
import type { KubernetesObject } from "../cluster/object.ts";
import { createLog } from "../log.ts";
import { checkNodes } from "./contract-nodes.ts";
import { slipwayPlace } from "./contract-pod.ts";
import { contractSummary } from "./contract-report.ts";
import type { ContractRegistry } from "./contract-run.ts";

function node(name: string, ready: "True" | "False", os = "linux"): KubernetesObject {
  const conditions = [{ type: "Ready", status: ready, lastTransitionTime: "2026-01-01T00:00:00Z" }];
  return { metadata: { name, labels: { "kubernetes.io/os": os } }, status: { conditions } };
}

/** A cluster whose kubelets pull at once, but on the nodes that are named. */
async function check(options: {
  readonly nodes: readonly KubernetesObject[];
  readonly only?: readonly string[];
  readonly words?: Readonly<Record<string, string>>;
}) {
  const created: KubernetesObject[] = [];
  const lists: string[] = [];
  const registry: ContractRegistry = {
    uploadBlob: async () => {},
    putManifest: async () => {},
    headManifest: async () => ({ digest: "sha256:0", mediaType: "", size: 1 }),
    deleteManifest: async () => true,
    async *tags() {},
  };
  const clock = createManualClock();
  const rows = checkNodes(
    {
      api: {
        create: async (_resource, pod) => {
          const made = { ...pod, metadata: { ...pod.metadata, uid: `u${created.length}` } };
          created.push(made);
          return made;
        },
        list: async (resource, { fieldSelector = "" }) => {
          lists.push(resource.kind);
          if (resource.kind === "Node") return [...options.nodes];
          const pod = created.find(({ metadata }) => fieldSelector.endsWith(metadata.uid ?? "-"));
          const { nodeName } = (pod ?? assert.fail()).spec as { nodeName: string };
          const words = options.words?.[nodeName];
          const note = words === undefined ? "Successfully pulled image" : `Failed to pull image "x": ${words}`;
          const reason = words === undefined ? "Pulled" : "Failed";
          return [{ metadata: { name: "e" }, reason, note, regarding: { fieldPath: "spec.containers{name-0}" } }];
        },
        delete: async () => {},
      },
      target: { mode: "External", names: ["registry.example.com"], key: "", cas: [], isolates: false, registry },
      place: { ...slipwayPlace, namespace: "team-a", isInjected: false, login: "Secret team-a/login" },
      only: options.only ?? [],
      run: "abc",
      randomBytes: (size) => Buffer.alloc(size, 1),
      clock,
      log: createLog({ level: "silent" }),
    },
    new AbortController().signal,
  );
  let isOver = false;
  const watched = rows.finally(() => {
    isOver = true;
  });
  watched.catch(() => {});
  for (let turns = 0; turns < 400 && !isOver; turns += 1) await clock.advance(500);
  return { rows: await rows, lists };
}

describe("slipway contract on the nodes of a cluster", () => {
  test("tries every Linux node that is Ready, and names those that are not", async () => {
    const nodes = [node("b", "True"), node("a", "True"), node("c", "False"), node("w", "True", "windows")];
    const { rows } = await check({ nodes });
    assert.deepEqual(
      rows.map((row) => [row.node, row.result, row.reason]),
      [
        ["a", "passed", ""],
        ["b", "passed", ""],
        ["c", "undecided", "NotReady"],
      ],
    );
    assert.match(contractSummary("x", rows), /does not hold for x: 2 of 3 nodes passed, not c$/);
  });

  test("tells the runtime's words and what to do for a node that does not pull", async () => {
    const { rows } = await check({
      nodes: [node("a", "True")],
      words: { a: "pull access denied: insufficient_scope" },
    });
    assert.equal(rows[0]?.reason, "LoginRefused");
    assert.match(rows[0]?.message ?? "", /look at Secret team-a\/login; the runtime said: pull access denied/);
  });

  test("lists no nodes where they are named", async () => {
    const { rows, lists } = await check({ nodes: [], only: ["a"] });
    assert.deepEqual([rows.length, lists.includes("Node")], [1, false]);
    assert.match(contractSummary("x", rows), /the contract holds for x/);
  });

  test("does not take a cluster without nodes for a proof", async () => {
    const { rows } = await check({ nodes: [] });
    assert.match(contractSummary("x", rows), /no node/);
  });
});
