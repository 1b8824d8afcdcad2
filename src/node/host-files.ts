import { hostsTomlBody } from "./hosts-toml.ts";

/** A file for a host that is no Kubernetes node; `path` is absolute on that host. */
export type HostFile = { readonly path: string; readonly text: string };

export const hostRuntimes = ["containerd", "docker", "cri-o"] as const;
export type HostRuntime = (typeof hostRuntimes)[number];

export type HostFilesOptions = {
  /** `host[:port]` as in references, each of them. */
  readonly hosts: readonly string[];
  /** Where to connect, `https://…`, without a slash at the end; undefined: the host itself. Docker takes no other. */
  readonly server: string | undefined;
  /** PEM; undefined where the system's trust is enough. */
  readonly ca: string | undefined;
};

const marker = "# Written by slipway node-files";
const caName = "ca.crt";

/** Whether `slipway node-files` wrote it: what carries the line may be replaced. */
export function isOurHostFile(text: string): boolean {
  return text.startsWith(marker);
}

/**
 * What one runtime needs to reach and trust the registry, as the node agent would write it.
 *
 * containerd: https://github.com/containerd/containerd/blob/main/docs/hosts.md
 * Docker: https://docs.docker.com/engine/security/certificates/
 * CRI-O: https://github.com/containers/image/blob/main/docs/containers-certs.d.5.md and
 * https://github.com/containers/image/blob/main/docs/containers-registries.conf.5.md
 */
export function hostFiles(runtime: HostRuntime, options: HostFilesOptions): readonly HostFile[] {
  const make = { containerd: containerdFiles, docker: dockerFiles, "cri-o": crioFiles }[runtime];
  return options.hosts.flatMap((host) => make(host, options));
}

function marked(text: string): string {
  return `${marker}: run it again to change this file.\n${text}`;
}

function containerdFiles(host: string, { server, ca }: HostFilesOptions): readonly HostFile[] {
  const folder = `/etc/containerd/certs.d/${host}`;
  const caPath = ca === undefined ? null : `${folder}/${caName}`;
  const toml = { path: `${folder}/hosts.toml`, text: marked(hostsTomlBody(server ?? `https://${host}`, caPath)) };
  return [...caFile(folder, ca), toml];
}

function dockerFiles(host: string, { ca }: HostFilesOptions): readonly HostFile[] {
  return caFile(`/etc/docker/certs.d/${host}`, ca);
}

/** The CA belongs to the place that is connected to; a drop-in says where that is, if it is another. */
function crioFiles(host: string, { server, ca }: HostFilesOptions): readonly HostFile[] {
  const location = server === undefined ? host : server.replace(/^https:\/\//, "");
  const certificate = caFile(`/etc/containers/certs.d/${location}`, ca);
  if (location === host) return certificate;
  const name = host.replaceAll(/[^A-Za-z0-9.-]/g, "_");
  const text = `\n[[registry]]\nprefix = ${JSON.stringify(host)}\nlocation = ${JSON.stringify(location)}\n`;
  return [...certificate, { path: `/etc/containers/registries.conf.d/90-slipway-${name}.conf`, text: marked(text) }];
}

function caFile(folder: string, ca: string | undefined): readonly HostFile[] {
  return ca === undefined ? [] : [{ path: `${folder}/${caName}`, text: marked(ca) }];
}
