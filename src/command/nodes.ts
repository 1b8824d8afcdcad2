import { systemClock } from "../clock.ts";
import { createTransport } from "../cluster/client.ts";
import { createClusterApi } from "../cluster/kubernetes-api.ts";
import { resources } from "../cluster/resource.ts";
import type { LocalRegistryStatus } from "../config/local-registry.ts";
import { nodesConfigMapName, systemNamespace } from "../config/names.ts";
import { SlipwayError } from "../errors.ts";
import { createLog } from "../log.ts";
import { projectNode } from "../node/node-view.ts";
import { type NodeRow, nodeRows } from "../node/nodes-table.ts";
import { parseVerdicts } from "../node/verdict-book.ts";
import { readObject } from "../registry/observe.ts";
import { type CommandContext, type CommandRun, createProgram, exitWith, runProgram } from "./program.ts";
import { rowFormat } from "./rows.ts";

type Flags = { readonly kubeconfig?: string; readonly context?: string; readonly output: string };

/** `slipway nodes`: which nodes reach the registry, in which mode, and what the others lack. */
export const run: CommandRun = async (context) => {
  const program = createProgram(context, "nodes", "Nodes, the mode in force, whether they pass, and what they lack");
  program
    .option("--kubeconfig <file>", "kubeconfig; as kubectl finds it unless given")
    .option("--context <name>", "context of the kubeconfig")
    .option("-o, --output <format>", "table, json or yaml", "table")
    .action(exitWith(program, (flags: Flags) => showNodes(context, flags)));
  return runProgram(program, context);
};

/** @returns 1 where a node does not pass; none is expected to on Windows, where no agent runs */
async function showNodes(context: CommandContext, flags: Flags): Promise<number> {
  const write = rowFormat(flags.output, columns);
  const rows = await readRows(context, flags);
  context.stdout.write(write(rows));
  return rows.some(({ passed, reason }) => passed === "no" && reason !== "Windows") ? 1 : 0;
}

async function readRows(context: CommandContext, flags: Flags): Promise<readonly NodeRow[]> {
  const source = { kubeconfig: flags.kubeconfig ?? context.env.KUBECONFIG, context: flags.context };
  const log = createLog({ level: "silent" });
  const transport = createTransport({ ...source, clock: systemClock, random: Math.random, log });
  const { stop } = context;
  try {
    const api = createClusterApi(transport);
    const registry = await readObject(api, resources.localRegistries, { name: "default" }, stop);
    if (registry === undefined) {
      throw new SlipwayError(
        "CONFIG_INVALID",
        "there is no LocalRegistry default in this cluster; is Slipway installed?",
      );
    }
    const address = { namespace: systemNamespace, name: nodesConfigMapName };
    const found = await readObject(api, resources.configMaps, address, stop);
    const nodes = await api.list(resources.nodes, {}, stop);
    const { nodes: status } = (registry.status ?? {}) as LocalRegistryStatus;
    return nodeRows({ nodes: nodes.map(projectNode), status, ...parseVerdicts(found?.data) });
  } finally {
    await transport.close();
  }
}

const columns = [
  "node",
  "mode",
  "passed",
  "contract",
  "reason",
  "message",
] as const satisfies readonly (keyof NodeRow)[];
