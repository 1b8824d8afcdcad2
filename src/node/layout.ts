/** Where a Kubernetes distribution keeps what the container runtime reads; paths of the host. */
export type RuntimeLayout = {
  /** The folder that `config_path` has to name. */
  readonly certsPath: string;
  readonly configPath: string;
};

export type LayoutName = "standard" | "k3s" | "rke2" | "microk8s" | "crio";

/**
 * The layouts that are known, each from its vendor's source.
 *
 * standard (kubeadm, kind, EKS, AKS): https://github.com/containerd/containerd/blob/main/docs/hosts.md
 * k3s and RKE2: https://docs.k3s.io/installation/private-registry and
 * https://github.com/k3s-io/k3s/blob/master/pkg/agent/containerd/config.go
 * RKE2 runs the same agent code below its own data directory: https://docs.rke2.io/install/containerd_registry_configuration
 * microk8s: https://github.com/canonical/microk8s/blob/master/microk8s-resources/default-args/containerd-template.toml
 * and https://microk8s.io/docs/registry-private (`args/certs.d`)
 * CRI-O has neither: it reads /etc/containers/registries.conf.d,
 * https://github.com/containers/image/blob/main/docs/containers-registries.conf.d.5.md
 */
export const layouts: Readonly<Record<LayoutName, RuntimeLayout>> = {
  standard: { certsPath: "/etc/containerd/certs.d", configPath: "/etc/containerd/config.toml" },
  k3s: {
    certsPath: "/var/lib/rancher/k3s/agent/etc/containerd/certs.d",
    configPath: "/var/lib/rancher/k3s/agent/etc/containerd/config.toml",
  },
  rke2: {
    certsPath: "/var/lib/rancher/rke2/agent/etc/containerd/certs.d",
    configPath: "/var/lib/rancher/rke2/agent/etc/containerd/config.toml",
  },
  microk8s: {
    certsPath: "/var/snap/microk8s/current/args/certs.d",
    configPath: "/var/snap/microk8s/current/args/containerd.toml",
  },
  crio: { certsPath: "/etc/containerd/certs.d", configPath: "/etc/containerd/config.toml" },
};

export const layoutNames = Object.keys(layouts) as readonly LayoutName[];

/**
 * One spelling for folders that a distribution reaches by two: a snap's revision (`/var/snap/microk8s/8511/…`, as its
 * start script fills it in) is `current`; slashes at the end do not count.
 */
export function canonicalPath(path: string): string {
  return path
    .trim()
    .replace(/\/+$/, "")
    .replace(/^\/var\/snap\/microk8s\/(?:x?\d+)(?=\/)/, "/var/snap/microk8s/current")
    .replace(/^\$\{SNAP_DATA\}(?=\/)/, "/var/snap/microk8s/current");
}
