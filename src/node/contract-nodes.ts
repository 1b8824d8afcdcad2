import type { Clock } from "../clock.ts";
import type { ClusterApi } from "../cluster/api.ts";
import { resources } from "../cluster/resource.ts";
import type { Log } from "../log.ts";
import { forEachConcurrently } from "../registry/concurrently.ts";
import type { ContractPlace } from "./contract-pod.ts";
import { type ContractRow, contractRow } from "./contract-report.ts";
import { type ContractTarget, createContractRun } from "./contract-run.ts";
import { type NodeView, projectNode } from "./node-view.ts";

/** Each is a push of a kilobyte and two pods. */
const atOnce = 4;

/**
 * Checks every node once, or those that are named. Nodes that are not Ready are not tried, and Windows nodes are left
 * out: the image is a Linux one.
 *
 * @param needs.only names of nodes; empty: all, which needs the right to list them
 * @throws ApiError where the nodes cannot be listed
 */
export async function checkNodes(
  needs: {
    readonly api: Pick<ClusterApi, "create" | "list" | "delete">;
    readonly target: ContractTarget;
    readonly place: ContractPlace;
    readonly only: readonly string[];
    readonly run: string;
    readonly randomBytes: (size: number) => Buffer;
    readonly clock: Clock;
    readonly log: Log;
  },
  signal: AbortSignal,
): Promise<readonly ContractRow[]> {
  const { only, target } = needs;
  const check = createContractRun(needs);
  const nodes = only.length > 0 ? only.map(unseen) : await listNodes(needs.api, signal);
  const rows = new Map<string, ContractRow>();
  await forEachConcurrently(nodes, { concurrency: atOnce, signal }, async ({ name, isReady }, stop) => {
    const row = isReady ? contractRow(name, await check(name, target, stop)) : notReady(name);
    rows.set(name, row);
  });
  return nodes.flatMap(({ name }) => rows.get(name) ?? []);
}

type Candidate = { readonly name: string; readonly isReady: boolean };

/** A node that was named is tried as it is. */
function unseen(name: string): Candidate {
  return { name, isReady: true };
}

async function listNodes(api: Pick<ClusterApi, "list">, signal: AbortSignal): Promise<readonly Candidate[]> {
  const nodes = (await api.list(resources.nodes, {}, signal)).map(projectNode);
  return nodes
    .filter((node) => node.labels["kubernetes.io/os"] !== "windows")
    .map(({ name, readySinceMs }: NodeView) => ({ name, isReady: readySinceMs !== undefined }))
    .toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

function notReady(node: string): ContractRow {
  return { node, result: "undecided", reason: "NotReady", message: "the node is not Ready: nothing starts there" };
}
