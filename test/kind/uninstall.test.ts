import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import type { Cluster, KubernetesJson } from "./cluster.ts";
import { removeComponents } from "./components.ts";
import { eventually } from "./eventually.ts";
import { kindTest, optedInNamespace } from "./harness.ts";

const readme = fileURLToPath(new URL("../../README.md", import.meta.url));
const project = fileURLToPath(new URL("../..", import.meta.url));

/** The kubectl lines of a section of the README: what is tested is what users are told. */
async function linesOf(section: string): Promise<readonly (readonly string[])[]> {
  const text = await readFile(readme, "utf8");
  const [, rest = ""] = text.split(`\n## ${section}\n`);
  const [body = ""] = rest.split("\n## ");
  const lines = body.split("\n").filter((line) => line.startsWith("    kubectl "));
  return lines.map((line) => line.trim().split(" ").slice(1));
}

/** Everything in the cluster that is named after Slipway or carries its marker. */
async function leftovers(cluster: Cluster): Promise<readonly string[]> {
  const kinds = (await cluster.kubectl(["api-resources", "--verbs=list", "-o", "name"])).trim().split("\n");
  const asked = kinds.filter((kind) => !/^(events|componentstatuses)(\.|$)/.test(kind));
  const names = await cluster.kubectl([
    "get",
    asked.join(","),
    "--all-namespaces",
    "--ignore-not-found",
    "-o",
    'jsonpath={range .items[*]}{.kind}/{.metadata.namespace}/{.metadata.name} {.metadata.labels}{"\\n"}{end}',
  ]);
  // Neither the nodes, which bear the cluster's name, nor the user's own opt-in labels are ours to take away.
  const nodes = await cluster.nodes();
  const isOurs = (line: string) => {
    const text = nodes.reduce((rest, node) => rest.replaceAll(node, ""), line.replaceAll("slipway.dev/inject", ""));
    return /slipway|local-registry-hosting/.test(text);
  };
  return names.split("\n").filter(isOurs);
}

/** Those of earlier tests are deleted without waiting: what is in them is nothing that this uninstall has left. */
async function namespacesAreGone(cluster: Cluster): Promise<void> {
  await eventually("no namespace is on its way out", async () => {
    const { items } = await cluster.get("namespaces");
    return items.every(({ status }: KubernetesJson) => status.phase === "Active") || undefined;
  });
}

async function filesOfRuntime(cluster: Cluster, node: string): Promise<string> {
  const command = "find /etc/containerd -type f -exec sha256sum {} + | sort";
  return cluster.onNode(node, ["sh", "-c", command]);
}

// The last file of the suite by name: it takes Slipway away and brings it back.
kindTest("uninstalling in the README's order leaves nothing in the cluster and nothing on a node", async (test) => {
  const { cluster } = test;
  const namespace = test.namespaceName("left");
  await namespacesAreGone(cluster);
  await cluster.apply(optedInNamespace(namespace));
  await cluster.wait("secret/slipway-pull", "create", { namespace });
  const nodes = await cluster.nodes();
  const before = await Promise.all(nodes.map((node) => filesOfRuntime(cluster, node)));
  const lines = await linesOf("Uninstall");
  assert.equal(lines.length, 3);
  try {
    for (const args of lines) await cluster.kubectl(inProject(args));
    await cluster.wait("namespace/slipway-system", "delete");
    await removeComponents(cluster);
    assert.deepEqual(await leftovers(cluster), []);
    for (const [index, node] of nodes.entries()) {
      const after = await filesOfRuntime(cluster, node);
      assert.doesNotMatch(after, /slipway/);
      const foreign = before[index]
        ?.split("\n")
        .filter((line) => !line.includes("/certs.d/registry.slipway-system.svc"));
      assert.equal(after.trim(), foreign?.join("\n").trim());
    }
  } finally {
    await cluster.kubectl(inProject(["apply", "-k", "manifests/overlays/default"]));
    await cluster.wait("localregistry/default", "create");
    await cluster.wait("localregistry/default", "condition=Ready");
  }
});

function inProject(args: readonly string[]): readonly string[] {
  return args.map((arg) => (arg.startsWith("manifests/") ? `${project}${arg}` : arg));
}
