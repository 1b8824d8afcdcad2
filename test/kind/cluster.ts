import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as pause } from "node:timers/promises";

/** The kind cluster of the suite, through kubectl: what a user would type. */
export type Cluster = {
  readonly name: string;
  readonly kubeconfig: string;
  /** @param input what kubectl reads from standard input. @returns its standard output; rejects with its error text */
  kubectl(args: readonly string[], input?: string): Promise<string>;
  /** `kubectl apply -f -` of YAML text. */
  apply(yaml: string): Promise<void>;
  get(resource: string, place?: { readonly name?: string; readonly namespace?: string }): Promise<KubernetesJson>;
  /** `kubectl wait`; `condition` is what follows `--for=`. Rejects when it does not come true in time. */
  wait(target: string, condition: string, options?: WaitOptions): Promise<void>;
  /** Runs a command in the container of a node. */
  onNode(node: string, command: readonly string[]): Promise<string>;
  nodes(): Promise<readonly string[]>;
  /** Pods, events and Slipway's logs, for a failed test. */
  dump(namespaces: readonly string[]): Promise<string>;
};

export type WaitOptions = { readonly namespace?: string; readonly timeoutSeconds?: number };

/** JSON of the API server, read field by field in tests. */
// biome-ignore lint/suspicious/noExplicitAny: tests look at whatever kubectl returned
export type KubernetesJson = any;

/** The cluster that run-tests.ts made, or the one that the developer named in KIND_TEST_CLUSTER. */
export function openCluster(env: NodeJS.ProcessEnv = process.env): Cluster {
  const { KIND_TEST_CLUSTER: name, KIND_TEST_KUBECONFIG: kubeconfig } = env;
  if (name === undefined || kubeconfig === undefined) {
    throw new Error("KIND_TEST_CLUSTER and KIND_TEST_KUBECONFIG are not set: run this by npm run test:kind");
  }
  return clusterOf(name, kubeconfig);
}

/** A cluster by its name and the kubeconfig that kind-up made for it. */
export function clusterOf(name: string, kubeconfig: string): Cluster {
  const kubectl: Cluster["kubectl"] = (args, input) => askApi(["--kubeconfig", kubeconfig, ...args], input);
  const cluster: Cluster = {
    name,
    kubeconfig,
    kubectl,
    async apply(yaml) {
      await kubectl(["apply", "-f", "-"], yaml);
    },
    async get(resource, { name: object, namespace } = {}) {
      const place = [...(object === undefined ? [] : [object]), ...namespaceFlag(namespace)];
      return JSON.parse(await kubectl(["get", resource, ...place, "-o", "json"]));
    },
    async wait(target, condition, { namespace, timeoutSeconds = 300 } = {}) {
      const flags = [`--for=${condition}`, `--timeout=${timeoutSeconds}s`];
      await kubectl(["wait", target, ...namespaceFlag(namespace), ...flags]);
    },
    onNode: (node, command) => execute("docker", ["exec", node, ...command]),
    async nodes() {
      const { items } = await cluster.get("nodes");
      return items.map((node: KubernetesJson) => node.metadata.name);
    },
    dump: (namespaces) => dump(kubectl, namespaces),
  };
  return cluster;
}

/** What the API server and etcd say of themselves where a disk or a processor stalls; none of it is about Slipway. */
const passingFault =
  /etcdserver: (request timed out|leader changed|too many requests)|TLS handshake timeout|http2: client connection lost|connection reset by peer|unexpected EOF|was refused - did you specify the right host or port/;
const patienceMs = 60_000;

/** kubectl, again where the API server was away for a moment; a `create` that got through after all fails as before. */
async function askApi(args: readonly string[], input?: string): Promise<string> {
  const deadlineMs = performance.now() + patienceMs;
  for (;;) {
    try {
      return await execute("kubectl", args, input);
    } catch (error) {
      if (!passingFault.test(String(error)) || performance.now() > deadlineMs) throw error;
      process.stderr.write(`kubectl is asked again: ${String(error).slice(0, 500)}\n`);
      await pause(1_000);
    }
  }
}

function namespaceFlag(namespace: string | undefined): readonly string[] {
  return namespace === undefined ? [] : ["--namespace", namespace];
}

/** @returns standard output; rejects with the command line and standard error */
export async function execute(command: string, args: readonly string[], input?: string): Promise<string> {
  const child = spawn(command, [...args], { stdio: ["pipe", "pipe", "pipe"] });
  const output = collect(child);
  // A program that ends without reading its input is judged by its exit code.
  child.stdin.on("error", () => {});
  child.stdin.end(input ?? "");
  const [code] = await once(child, "close");
  if (code === 0) return output.stdout();
  throw new Error(
    `${command} ${args.join(" ")} ended with ${code}: ${output.stderr().trim() || output.stdout().trim()}`,
  );
}

function collect(child: ChildProcess): { stdout(): string; stderr(): string } {
  const text = { stdout: "", stderr: "" };
  child.stdout?.setEncoding("utf8").on("data", (chunk: string) => {
    text.stdout += chunk;
  });
  child.stderr?.setEncoding("utf8").on("data", (chunk: string) => {
    text.stderr += chunk;
  });
  return { stdout: () => text.stdout, stderr: () => text.stderr };
}

async function dump(kubectl: Cluster["kubectl"], namespaces: readonly string[]): Promise<string> {
  const logs = ["logs", "--all-containers", "--prefix", "--tail=60"];
  const questions = [
    ["get", "pods", "--all-namespaces", "-o", "wide"],
    ["get", "localregistries,pullcredentials,imagerewrites", "-o", "yaml"],
    ...namespaces.flatMap((namespace) => [
      ["describe", "pods", "--namespace", namespace],
      ["get", "events", "--namespace", namespace, "--sort-by=.lastTimestamp"],
      ["get", "secrets", "--namespace", namespace],
    ]),
    [...logs, "--namespace", "slipway-system", "--selector", "app.kubernetes.io/component=serve"],
    [...logs, "--namespace", "slipway-system", "--selector", "app.kubernetes.io/component=registry"],
    [...logs, "--namespace", "slipway-node", "--selector", "app.kubernetes.io/component=node-agent"],
  ];
  const answers: string[] = [];
  for (const args of questions) {
    const answer = await kubectl(args).catch((error: unknown) => String(error));
    answers.push(`$ kubectl ${args.join(" ")}\n${answer}`);
  }
  return answers.join("\n");
}
