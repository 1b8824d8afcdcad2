import type { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { Option } from "commander";
import { systemClock } from "../clock.ts";
import type { ClusterApi } from "../cluster/api.ts";
import { createTransport } from "../cluster/client.ts";
import { type ClusterSource, contextNamespace } from "../cluster/kubeconfig.ts";
import { createClusterApi } from "../cluster/kubernetes-api.ts";
import type { KubernetesObject } from "../cluster/object.ts";
import { createPortForward } from "../cluster/port-forward.ts";
import { resources } from "../cluster/resource.ts";
import { SlipwayError } from "../errors.ts";
import { createRegistryQuestions } from "../explain/ask-registry.ts";
import { findCompiled } from "../explain/compiled.ts";
import { parseDocuments } from "../explain/document.ts";
import { explainSource, type SourceExplanation } from "../explain/explain-source.ts";
import { gatherFacts } from "../explain/facts.ts";
import { readFileDocuments, readFolder } from "../explain/folder.ts";
import { type ExplainFormat, formatExplanations } from "../explain/format.ts";
import { asSent } from "../explain/live-pod.ts";
import { createClusterSource, createMemorySource, type ObjectSource, overlaySource } from "../explain/object-source.ts";
import { findPods, type PodSource } from "../explain/pod-source.ts";
import type { AskRegistry } from "../explain/presence.ts";
import { createLog } from "../log.ts";
import { type CommandContext, type CommandRun, createProgram, exitWith, runProgram } from "./program.ts";

type ExplainFlags = {
  readonly filename?: string;
  readonly namespace?: string;
  readonly output: ExplainFormat;
  readonly config?: string;
  readonly assumePresent: boolean;
  readonly kubeconfig?: string;
  readonly context?: string;
};

/** `slipway explain`: what the webhook would do to a pod, and why; see docs/explain.md. */
export const run: CommandRun = async (context) => {
  const program = createProgram(context, "explain", "Tell what becomes of a pod's images, by which rule and login");
  program
    .argument("[POD]", "a pod of the cluster")
    .option("-f, --filename <file>", "a pod, or anything with a pod template, as YAML or JSON; - for standard input")
    .option("-n, --namespace <name>", "the namespace that the pod would be created in")
    .addOption(
      new Option("-o, --output <format>", "form of the answer")
        .choices(["table", "json", "yaml", "patch"])
        .default("table"),
    )
    .option("--config <folder>", "offline: Namespaces, PullCredentials, Secrets, LocalRegistry, … from files")
    .option("--assume-present", "offline: take the local registry to hold whatever the namespace may pull", false)
    .option("--kubeconfig <file>", "kubeconfig; as kubectl finds it unless given")
    .option("--context <name>", "context of the kubeconfig")
    .action(
      exitWith(program, (pod: string | undefined, flags: ExplainFlags) => {
        refuseContradictions(pod, flags);
        return flags.config === undefined
          ? explainWithCluster(context, pod, flags)
          : explainOffline(context, flags.config, flags);
      }),
    );
  return runProgram(program, context);
};

function refuseContradictions(pod: string | undefined, { filename, config, assumePresent }: ExplainFlags): void {
  if ((pod === undefined) === (filename === undefined)) {
    throw new SlipwayError("CONFIG_INVALID", "name either a POD of the cluster or a file with -f");
  }
  if (pod !== undefined && config !== undefined) {
    throw new SlipwayError("CONFIG_INVALID", "--config is for a file given with -f; a POD is read from the cluster");
  }
  if (assumePresent && config === undefined) {
    throw new SlipwayError("CONFIG_INVALID", "--assume-present needs --config; a cluster's registry is asked");
  }
}

type Surroundings = {
  readonly objects: ObjectSource;
  readonly defaultNamespace: string;
  /** The way to ask the registry for pods of one namespace; `close` at the end. */
  readonly questions: (
    facts: Pick<Awaited<ReturnType<typeof gatherFacts>>, "compiled" | "namespace">,
    note: (text: string) => void,
  ) => { readonly ask: AskRegistry; close(): void };
};

async function explainOffline(context: CommandContext, folder: string, flags: ExplainFlags): Promise<number> {
  const [documents, configuration] = await Promise.all([readInput(context.stdin, flags), readFolder(folder)]);
  const objects = overlaySource(createMemorySource(documents), createMemorySource(configuration));
  const ask: AskRegistry = async () => (flags.assumePresent ? true : undefined);
  const questions = () => ({ ask, close: () => {} });
  return explainAll(context, documents.flatMap(findPods), flags, { objects, defaultNamespace: "default", questions });
}

async function explainWithCluster(
  context: CommandContext,
  podName: string | undefined,
  flags: ExplainFlags,
): Promise<number> {
  const source: ClusterSource = {
    kubeconfig: flags.kubeconfig ?? context.env.KUBECONFIG,
    context: flags.context,
  };
  const shared = { clock: systemClock, random: Math.random, log: createLog({ level: "silent" }) };
  const defaultNamespace = contextNamespace(source);
  const transport = createTransport({ ...source, ...shared });
  try {
    const api = createClusterApi(transport);
    const documents =
      podName === undefined
        ? await readInput(context.stdin, flags)
        : [await readPod(api, flags.namespace ?? defaultNamespace, podName, context.stop)];
    const cluster = createClusterSource({ api, signal: context.stop });
    return await explainAll(context, documents.flatMap(findPods), flags, {
      objects: podName === undefined ? overlaySource(createMemorySource(documents), cluster) : cluster,
      defaultNamespace,
      questions: ({ compiled, namespace }, note) =>
        createRegistryQuestions({
          compiled,
          namespace,
          cluster: { api, portForward: () => createPortForward({ ...source, ...shared }) },
          ...shared,
          signal: context.stop,
          note,
        }),
    });
  } finally {
    await transport.close();
  }
}

async function readPod(
  api: ClusterApi,
  namespace: string,
  name: string,
  signal: AbortSignal,
): Promise<KubernetesObject> {
  return { ...asSent(await api.get(resources.pods, { namespace, name }, signal)), kind: "Pod" };
}

async function readInput(stdin: Readable, { filename = "-" }: ExplainFlags): Promise<readonly KubernetesObject[]> {
  return filename === "-" ? parseDocuments(await text(stdin), "standard input") : readFileDocuments(filename);
}

async function explainAll(
  context: CommandContext,
  sources: readonly PodSource[],
  flags: ExplainFlags,
  surroundings: Surroundings,
): Promise<number> {
  if (sources.length === 0) throw new SlipwayError("CONFIG_INVALID", "the input holds no pod and no pod template");
  const found = await findCompiled(surroundings.objects);
  const notes = new Set(found.notes);
  const results: SourceExplanation[] = [];
  for (const source of sources) {
    const namespace = flags.namespace ?? source.namespace ?? surroundings.defaultNamespace;
    const facts = await gatherFacts(surroundings.objects, found.compiled, {
      namespace,
      pod: source.pod,
      nowMs: systemClock.nowMs(),
    });
    const questions = surroundings.questions(facts, (text) => notes.add(text));
    try {
      results.push(await explainSource({ objects: surroundings.objects, facts, ask: questions.ask }, source));
    } finally {
      questions.close();
    }
  }
  for (const note of [...notes, ...results.flatMap((result) => result.notes)]) notes.add(note);
  for (const note of notes) context.stderr.write(`note: ${note}\n`);
  context.stdout.write(formatExplanations(results, flags.output));
  return results.some(({ hasFindings }) => hasFindings) ? 1 : 0;
}
