import { randomBytes } from "node:crypto";
import type { Command, Option } from "commander";
import { systemClock } from "../clock.ts";
import { createTransport } from "../cluster/client.ts";
import { createClusterApi } from "../cluster/kubernetes-api.ts";
import { createLog } from "../log.ts";
import { checkNodes } from "../node/contract-nodes.ts";
import type { ContractPlace } from "../node/contract-pod.ts";
import { tryPush } from "../node/contract-push.ts";
import { type ContractRow, contractSummary } from "../node/contract-report.ts";
import { type ContractRegistryFlags, openContractRegistry, readImage } from "./contract-registry.ts";
import {
  type CommandContext,
  type CommandRun,
  createProgram,
  environmentOption,
  exitWith,
  refuseUnknownEnvironment,
  runProgram,
} from "./program.ts";
import { rowFormat } from "./rows.ts";

type Flags = ContractRegistryFlags & {
  readonly image: string;
  readonly namespace: string;
  readonly otherNamespace?: string;
  readonly pullSecret?: string;
  readonly node?: readonly string[];
  readonly podName?: string;
  readonly podUid?: string;
  readonly kubeconfig?: string;
  readonly context?: string;
  readonly output: string;
};

const columns = ["node", "result", "reason", "message"] as const satisfies readonly (keyof ContractRow)[];

/** `slipway contract`: what manifests/components/contract-check runs as a Job, against any registry. */
export const run: CommandRun = async (context) => {
  const program = createProgram(
    context,
    "contract",
    [
      "Prove the contract of a registry: pushes an image under a unique tag from here, starts a pod on each node whose",
      "image is the very same reference, and tells from kubelet's Events whether the node pulled it. Meant to run in a",
      "pod of the cluster. Ends with 1 where a node does not pull, 2 where nothing could be tried.",
    ].join(" "),
  );
  for (const option of options()) program.addOption(option);
  program
    .option("--kubeconfig <file>", "kubeconfig; as kubectl finds it, or that of the pod, unless given")
    .option("--context <name>", "context of the kubeconfig")
    .option("-o, --output <format>", "table, json or yaml", "table")
    .action(exitWith(program, () => start(program, context)));
  return runProgram(program, context);
};

function options(): readonly Option[] {
  return [
    environmentOption(
      "--image <reference>",
      "SLIPWAY_CONTRACT_IMAGE",
      "what to push and pull, without a tag: registry.example.com/team-a/contract",
    ).makeOptionMandatory(),
    environmentOption(
      "--namespace <name>",
      "SLIPWAY_CONTRACT_NAMESPACE",
      "where the pods are created",
    ).makeOptionMandatory(),
    environmentOption(
      "--other-namespace <name>",
      "SLIPWAY_CONTRACT_OTHER_NAMESPACE",
      "where the same pod has to be refused; not tried unless given",
    ),
    environmentOption(
      "--login <folder>",
      "SLIPWAY_CONTRACT_LOGIN",
      "a Secret as it is mounted: .dockerconfigjson with a login that may push, and ca.crt; no login unless given",
    ),
    environmentOption(
      "--pull-secret <name>",
      "SLIPWAY_CONTRACT_PULL_SECRET",
      "Secret in --namespace that the pods name; needless where Slipway adds its own",
    ),
    environmentOption("--node <names...>", "SLIPWAY_CONTRACT_NODES", "only these nodes, separated by spaces"),
    environmentOption("--plain-http", "SLIPWAY_CONTRACT_PLAIN_HTTP", "the registry speaks HTTP without TLS"),
    environmentOption("--pod-name <name>", "SLIPWAY_POD_NAME", "pod of --namespace with which all others go"),
    environmentOption("--pod-uid <uid>", "SLIPWAY_POD_UID", "its uid"),
  ];
}

async function start(program: Command, context: CommandContext): Promise<number> {
  refuseUnknownEnvironment(program, context.env);
  const flags = program.opts<Flags>();
  const { stdout, stderr, stop } = context;
  const write = rowFormat(flags.output, columns);
  const image = readImage(flags.image);
  const registry = await openContractRegistry(flags, image);
  try {
    const marker = randomBytes(4).toString("hex");
    const refused = await tryPush(registry, { repository: image.path, tag: marker }, stop);
    if (refused !== undefined) {
      stdout.write(write([{ node: "", result: "failed", ...refused }]));
      stderr.write(`the contract does not hold for ${image.name}: it cannot be pushed from here\n`);
      return 1;
    }
    stderr.write(`pushed ${image.name}:${marker}; now nodes pull by that name\n`);
    const rows = await checkCluster(flags, { image, registry, marker }, context);
    stdout.write(write(rows));
    stderr.write(`${contractSummary(image.name, rows)}\n`);
    return rows.length > 0 && rows.every(({ result }) => result === "passed") ? 0 : 1;
  } finally {
    registry.close();
  }
}

async function checkCluster(
  flags: Flags,
  pushed: {
    readonly image: ReturnType<typeof readImage>;
    readonly registry: Awaited<ReturnType<typeof openContractRegistry>>;
    readonly marker: string;
  },
  { env, stderr, stop }: CommandContext,
): Promise<readonly ContractRow[]> {
  const { image, registry, marker } = pushed;
  const timing = { clock: systemClock, random: Math.random };
  const log = createLog({ level: "warn" }, stderr);
  const source = { kubeconfig: flags.kubeconfig ?? env.KUBECONFIG, context: flags.context };
  const transport = createTransport({ ...source, ...timing, log: createLog({ level: "silent" }) });
  try {
    return await checkNodes(
      {
        api: createClusterApi(transport),
        target: {
          mode: "External",
          names: [image.host],
          key: marker,
          cas: [],
          isolates: (flags.otherNamespace ?? "") !== "",
          registry,
        },
        place: placeOf(flags, image.path),
        only: flags.node?.flatMap((names) => names.split(/\s+/)).filter((name) => name !== "") ?? [],
        run: marker,
        randomBytes,
        clock: systemClock,
        log,
      },
      stop,
    );
  } finally {
    await transport.close();
  }
}

function placeOf(flags: Flags, repository: string): ContractPlace {
  const { namespace, otherNamespace = "", pullSecret = "", podName: name = "", podUid: uid = "" } = flags;
  const secret = `Secret ${namespace}/${pullSecret}`;
  return {
    namespace,
    otherNamespace,
    repository,
    label: "slipway.dev/contract-job",
    pullSecrets: pullSecret === "" ? [] : [pullSecret],
    isInjected: false,
    login: pullSecret === "" ? `the imagePullSecrets that pods of ${namespace} get, or give --pull-secret` : secret,
    leftovers: "remove it by hand",
    ...(name === "" || uid === "" ? {} : { owner: { name, uid } }),
  };
}
