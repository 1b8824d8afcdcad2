import { spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";

/** Of one container, bytes. */
type Memory = { readonly rss: number; readonly workingSet: number };

const scripts = fileURLToPath(new URL("../../../scripts/", import.meta.url));
const main = fileURLToPath(new URL("../../../src/main.ts", import.meta.url));
const clusterName = "slipway-bench";
const repetitions = 7;
const replicas = 3;

/**
 * The figures that need a kubelet, on a kind cluster of its own: from `kubectl apply` of one file with namespace and
 * Deployment to every pod Ready, and the memory of each part at rest.
 *
 * @param say told one line about each step
 * @returns the section of docs/benchmarks.md, Markdown
 */
export async function runBench(say: (line: string) => void): Promise<string> {
  say("making a kind cluster of one node");
  const line = await output(`${scripts}kind-up`, ["--name", clusterName]);
  const kubeconfig = /KUBECONFIG=(.+)/.exec(line)?.[1]?.trim() ?? "";
  const kubectl = (args: readonly string[], input?: string) =>
    output("kubectl", ["--kubeconfig", kubeconfig, ...args], input);
  try {
    const times: number[] = [];
    for (let round = 0; round < repetitions; round++) {
      const namespace = `bench-${round}`;
      const push = [main, "images", "push", "busybox:1.37", `${namespace}/app:1.0`, "--kubeconfig", kubeconfig];
      await output(process.execPath, push);
      times.push(await applyToReady(kubectl, namespace));
      say(`round ${round + 1} of ${repetitions}: ${times.at(-1)?.toFixed(2)} s`);
      await kubectl(["delete", "namespace", namespace, "--wait"]);
    }
    say("letting everything rest for a minute, then reading its memory");
    await delay(60_000);
    return section(times, await memoryAtRest(kubectl));
  } finally {
    await output(`${scripts}kind-down`, ["--name", clusterName]);
  }
}

type Kubectl = (args: readonly string[], input?: string) => Promise<string>;

async function applyToReady(kubectl: Kubectl, namespace: string): Promise<number> {
  const labels = { app: "app" };
  const container = {
    name: "app",
    image: `registry.slipway-system.svc/${namespace}/app:1.0`,
    imagePullPolicy: "Always",
    command: ["sleep", "3600"],
  };
  const items = [
    { apiVersion: "v1", kind: "Namespace", metadata: { name: namespace, labels: { "slipway.dev/inject": "enabled" } } },
    {
      apiVersion: "apps/v1",
      kind: "Deployment",
      metadata: { name: "app", namespace },
      spec: {
        replicas,
        selector: { matchLabels: labels },
        template: { metadata: { labels }, spec: { terminationGracePeriodSeconds: 0, containers: [container] } },
      },
    },
  ];
  const startedAtMs = performance.now();
  await kubectl(["apply", "-f", "-"], items.map((item) => JSON.stringify(item)).join("\n---\n"));
  await kubectl(["rollout", "status", "deployment/app", "--namespace", namespace, "--timeout=120s"]);
  return (performance.now() - startedAtMs) / 1_000;
}

/** Version 2 of cgroups, or version 1: anonymous memory, inactive pages of files, and all of it. */
const readMemory = [
  "cd /sys/fs/cgroup",
  "if [ -f memory.current ]; then s=memory.stat u=memory.current a=anon i=inactive_file; else s=memory/memory.stat u=memory/memory.usage_in_bytes a=total_rss i=total_inactive_file; fi",
  'echo "$(grep "^$a " $s | cut -d" " -f2) $(grep "^$i " $s | cut -d" " -f2) $(cat $u)"',
].join("; ");

/** By the containers' own cgroups, as kubelet counts it: the working set is all without inactive pages of files. */
async function memoryAtRest(kubectl: Kubectl): Promise<ReadonlyMap<string, Memory>> {
  const found = new Map<string, Memory>();
  for (const namespace of ["slipway-system", "slipway-node"]) {
    const { items } = JSON.parse(await kubectl(["get", "pods", "--namespace", namespace, "-o", "json"])) as {
      readonly items: readonly {
        readonly metadata: { readonly name: string };
        readonly spec: { readonly containers: readonly { readonly name: string }[] };
      }[];
    };
    for (const { metadata, spec } of items) {
      for (const { name } of spec.containers) {
        const place = ["exec", metadata.name, "--namespace", namespace, "--container", name];
        const text = await kubectl([...place, "--", "sh", "-c", readMemory]);
        const [rss = 0, inactive = 0, all = 0] = text.trim().split(" ").map(Number);
        const workingSet = all - inactive;
        if (workingSet > (found.get(name)?.workingSet ?? 0)) found.set(name, { rss, workingSet });
      }
    }
  }
  return found;
}

function section(times: readonly number[], memory: ReadonlyMap<string, Memory>): string {
  const sorted = times.toSorted((one, other) => one - other);
  const seconds = (value: number | undefined) => `${value?.toFixed(2)} s`;
  const mebibytes = (bytes: number) => `${(bytes / 1024 / 1024).toFixed(0)} MiB`;
  return [
    `One \`kubectl apply\` of one file with namespace and Deployment to ${replicas} Ready replicas of a private image, \`imagePullPolicy: Always\`, one node:`,
    "",
    "| rounds | minimum | median | maximum |",
    "|---|---|---|---|",
    `| ${times.length} | ${seconds(sorted[0])} | ${seconds(sorted[Math.floor(sorted.length / 2)])} | ${seconds(sorted.at(-1))} |`,
    "",
    "Memory at rest, by the containers' own cgroups; of several replicas the largest:",
    "",
    "| container | anonymous memory (rss) | working set |",
    "|---|---|---|",
    ...[...memory]
      .toSorted(([one], [other]) => (one < other ? -1 : 1))
      .map(([name, { rss, workingSet }]) => `| ${name} | ${mebibytes(rss)} | ${mebibytes(workingSet)} |`),
    "",
  ].join("\n");
}

async function output(command: string, args: readonly string[], input?: string): Promise<string> {
  const child = spawn(command, [...args], { stdio: ["pipe", "pipe", "inherit"] });
  child.stdin.on("error", () => {}); // a program that ends without reading its input is judged by its exit code
  child.stdin.end(input ?? "");
  const chunks: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => void chunks.push(chunk));
  const [code] = await once(child, "close");
  if (code !== 0) throw new Error(`${command} ${args.join(" ")} ended with ${code}`);
  return Buffer.concat(chunks).toString("utf8");
}
