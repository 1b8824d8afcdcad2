import type { Clock } from "../clock.ts";
import { ApiError, type ClusterApi } from "../cluster/api.ts";
import type { KubernetesObject } from "../cluster/object.ts";
import { resources } from "../cluster/resource.ts";
import type { ObservedStore } from "../cluster/store.ts";
import { managedByLabel, managedByValue, nodesConfigMapName, systemNamespace } from "../config/names.ts";
import type { Log } from "../log.ts";
import { formatAuto, parseAuto } from "./auto-memory.ts";
import type { AutoState } from "./choose.ts";
import {
  type ContractVerdict,
  contractEntry,
  formatContract,
  isContractEntry,
  parseContract,
} from "./contract-verdict.ts";
import type { NodeIdentity } from "./desk.ts";
import { formatOverdue, parseOverdue } from "./overdue.ts";
import type { NodeFindings } from "./protocol.ts";
import type { OverdueNodes } from "./standing.ts";
import { formatVerdict, type NodeVerdict, nextVerdict, parseVerdict } from "./verdict.ts";

/** No node can have this name, and a ConfigMap key may. */
const autoKey = "_auto";
const overdueKey = "_overdue";
const writeTimeoutMs = 10_000;

type Parsed = {
  readonly verdicts: ReadonlyMap<string, NodeVerdict>;
  readonly contracts: ReadonlyMap<string, ContractVerdict>;
};
type Known = Parsed & { readonly overdue: OverdueNodes | undefined };

/** Reads the data of ConfigMap `slipway-nodes`; what is no verdict is left out. */
export function parseVerdicts(data: unknown): Parsed {
  const verdicts = new Map<string, NodeVerdict>();
  const contracts = new Map<string, ContractVerdict>();
  for (const [key, text] of Object.entries(data ?? {})) {
    if (key === autoKey || key === overdueKey || typeof text !== "string") continue;
    const verdict = isContractEntry(key) ? undefined : parseVerdict(text);
    if (verdict !== undefined) verdicts.set(key, verdict);
    const contract = isContractEntry(key) ? parseContract(text) : undefined;
    if (contract !== undefined) contracts.set(contract.node, contract);
  }
  return { verdicts, contracts };
}

/** The verdicts of all nodes, kept in ConfigMap `slipway-nodes`, so that every replica of serve has the same. */
export type VerdictBook = {
  /** By node name; the same map until something changes. */
  verdicts(): ReadonlyMap<string, NodeVerdict>;
  /** Counts findings into the verdict of a node; written only when that changes. Never rejects. */
  note(node: NodeIdentity, findings: NodeFindings): void;
  /** What the leader remembered of Auto's choice. */
  auto(): AutoState;
  rememberAuto(state: AutoState): void;
  /** Which nodes were said to be late by the leader. */
  overdue(): OverdueNodes | undefined;
  /** Of the leader. */
  rememberOverdue(nodes: OverdueNodes | null): void;
  /** What contract checks found, by node name; the same map until something changes. */
  contracts(): ReadonlyMap<string, ContractVerdict>;
  /** Of the leader. */
  noteContract(verdict: ContractVerdict): void;
  /** Drops the verdicts of nodes that are not in the list. Of the leader. */
  keepOnly(nodeNames: ReadonlySet<string>): void;
  /** Resolves when everything noted so far has been written or has failed. */
  settled(): Promise<void>;
};

/**
 * @param needs.store ConfigMaps that include `slipway-nodes` in slipway-system, whole
 */
export function createVerdictBook(needs: {
  readonly store: ObservedStore<KubernetesObject>;
  readonly api: Pick<ClusterApi, "merge" | "create">;
  readonly clock: Clock;
  readonly log: Log;
}): VerdictBook {
  const address = { namespace: systemNamespace, name: nodesConfigMapName };
  /** Written by this replica and not yet seen in the store; null: removed. */
  const ahead = new Map<string, { readonly text: string | null; readonly over: string | undefined }>();
  let pending: Record<string, string | null> = {};
  let writing: Promise<void> | undefined;
  let parsed: Known | undefined;

  needs.store.onChange(() => {
    const data = observed();
    for (const [key, { over }] of ahead) if (data[key] !== over) ahead.delete(key);
    parsed = undefined;
  });

  function observed(): Readonly<Record<string, string>> {
    const data = needs.store.get(`${systemNamespace}/${nodesConfigMapName}`)?.data;
    return typeof data === "object" && data !== null ? (data as Record<string, string>) : {};
  }

  function textOf(key: string): string | undefined {
    const own = ahead.get(key);
    return own === undefined ? observed()[key] : (own.text ?? undefined);
  }

  function put(key: string, text: string | null): void {
    if (textOf(key) === (text ?? undefined)) return;
    ahead.set(key, { text, over: observed()[key] });
    parsed = undefined;
    pending[key] = text;
    writing ??= flush().finally(() => {
      writing = undefined;
    });
  }

  /** One patch at a time; what is noted meanwhile goes together into the next. */
  async function flush(): Promise<void> {
    await Promise.resolve();
    while (Object.keys(pending).length > 0) {
      const data = pending;
      pending = {};
      try {
        await write(data);
      } catch (error) {
        for (const key of Object.keys(data)) if (!(key in pending)) ahead.delete(key);
        parsed = undefined;
        needs.log.warn({ err: error, nodes: Object.keys(data).length }, "verdicts of nodes could not be written");
      }
    }
  }

  async function write(data: Readonly<Record<string, string | null>>): Promise<void> {
    const signal = AbortSignal.timeout(writeTimeoutMs);
    try {
      await needs.api.merge(resources.configMaps, address, { data }, signal);
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 404) throw error;
      const present = Object.fromEntries(Object.entries(data).filter(([, text]) => text !== null));
      const metadata = { ...address, labels: { [managedByLabel]: managedByValue } };
      await needs.api.create(resources.configMaps, { metadata, data: present }, { signal });
    }
  }

  function read(): Known {
    if (parsed !== undefined) return parsed;
    const keys = new Set([...Object.keys(observed()), ...ahead.keys()]);
    const verdicts = parseVerdicts(Object.fromEntries([...keys].map((key) => [key, textOf(key)])));
    parsed = { ...verdicts, overdue: parseOverdue(textOf(overdueKey)) };
    return parsed;
  }

  return {
    verdicts: () => read().verdicts,
    contracts: () => read().contracts,
    noteContract: (verdict) => put(contractEntry(verdict.node), formatContract(verdict)),
    note(node, findings) {
      const previous = read().verdicts.get(node.name);
      put(node.name, formatVerdict(nextVerdict(previous, { uid: node.uid, findings }, needs.clock.nowMs())));
    },
    auto: () => parseAuto(textOf(autoKey)),
    rememberAuto: (state) => put(autoKey, formatAuto(state)),
    overdue: () => read().overdue,
    rememberOverdue: (nodes) => put(overdueKey, nodes === null ? null : formatOverdue(nodes)),
    keepOnly(nodeNames) {
      const { verdicts, contracts } = read();
      for (const name of verdicts.keys()) if (!nodeNames.has(name)) put(name, null);
      for (const name of contracts.keys()) if (!nodeNames.has(name)) put(contractEntry(name), null);
    },
    settled: async () => {
      while (writing !== undefined) await writing;
    },
  };
}
