import { type Cluster, execute } from "./cluster.ts";

/** A further node of the kind cluster, which joins as any new node does. */
export type JoiningNode = {
  readonly name: string;
  /** Joins by kubeadm; resolves when the Node object is there. */
  join(): Promise<void>;
  /** Takes it out of the cluster and removes the container. */
  remove(): Promise<void>;
};

export type JoinOptions = {
  /** `key:effect`, put on by kubelet when it registers. */
  readonly taint: { readonly key: string; readonly effect: string };
  /** Images of the local docker that the node is to have before it joins: Slipway's own does not come from the registry. */
  readonly images: readonly string[];
};

/** Starts the container of a node that has not joined yet, with the labels by which kind finds it. */
export async function startNode(cluster: Cluster, name: string, options: JoinOptions): Promise<JoiningNode> {
  const controlPlane = `${cluster.name}-control-plane`;
  const image = (await execute("docker", ["inspect", "--format", "{{.Config.Image}}", controlPlane])).trim();
  // As kind starts them: https://github.com/kubernetes-sigs/kind/blob/main/pkg/cluster/internal/providers/docker/provision.go
  await execute("docker", [
    ...["run", "--detach", "--name", name, "--hostname", name, "--network", "kind", "--privileged"],
    ...["--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined"],
    ...["--tmpfs", "/tmp", "--tmpfs", "/run", "--volume", "/var", "--volume", "/lib/modules:/lib/modules:ro"],
    ...["--cgroupns", "private", "--env", "container=docker"],
    ...["--label", `io.x-k8s.kind.cluster=${cluster.name}`, "--label", "io.x-k8s.kind.role=worker"],
    image,
  ]);
  const remove = async () => {
    await cluster.kubectl(["delete", "node", name, "--ignore-not-found"]);
    await execute("docker", ["rm", "--force", "--volumes", name]);
  };
  try {
    await waitOnNode(cluster, name, "ctr --namespace k8s.io version");
    await execute("kind", ["load", "docker-image", "--name", cluster.name, "--nodes", name, ...options.images]);
  } catch (error) {
    await remove();
    throw error;
  }
  return {
    name,
    remove,
    async join() {
      const command = await cluster.onNode(controlPlane, ["kubeadm", "token", "create", "--print-join-command"]);
      const configuration = joinConfiguration(command, name, options.taint);
      await cluster.onNode(name, ["sh", "-c", `cat > /kind/join.json <<'END'\n${configuration}\nEND`]);
      await cluster.onNode(name, ["kubeadm", "join", "--config", "/kind/join.json", "--ignore-preflight-errors=all"]);
    },
  };
}

/** Until a command succeeds in the container of a node. */
export async function waitOnNode(cluster: Cluster, node: string, command: string, seconds = 300): Promise<void> {
  const loop = `until ${command} >/dev/null 2>&1; do sleep 1; done`;
  await cluster.onNode(node, ["timeout", String(seconds), "sh", "-c", loop]);
}

/** @param command `kubeadm join HOST:PORT --token T --discovery-token-ca-cert-hash H` */
function joinConfiguration(command: string, name: string, taint: JoinOptions["taint"]): string {
  const [, apiServerEndpoint, token, hash] =
    /join (\S+) --token (\S+) --discovery-token-ca-cert-hash (\S+)/.exec(command) ?? [];
  if (token === undefined) throw new Error(`kubeadm gave no join command: ${command}`);
  return JSON.stringify({
    apiVersion: "kubeadm.k8s.io/v1beta4",
    kind: "JoinConfiguration",
    discovery: { bootstrapToken: { apiServerEndpoint, token, caCertHashes: [hash] } },
    nodeRegistration: { name, criSocket: "unix:///run/containerd/containerd.sock", taints: [taint] },
  });
}
