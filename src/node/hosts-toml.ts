import type { OrderedRegistry } from "./protocol.ts";

export const hostsFileName = "hosts.toml";
/** Not `ca.crt`, which may be somebody's certificate in Docker's layout of the same folder. */
export const caFileName = "slipway-ca.crt";

/** Whether the host's folder was there before: decides whether removal takes it away. */
export type FolderOrigin = "made" | "found";

const marker = "# Managed by slipway";

/** First line of each file of ours: what carries it may be replaced and removed, nothing else. */
function markerLine(origin: FolderOrigin): string {
  return `${marker} (folder: ${origin}). Do not edit: changes are undone within a minute.\n`;
}

/** @returns what the marker says, or undefined for a file that is not ours */
export function readMarker(text: string): FolderOrigin | undefined {
  if (!text.startsWith(`${marker} (`)) return undefined;
  return text.startsWith(`${marker} (folder: made)`) ? "made" : "found";
}

/** The text of `hosts.toml` as the agent writes it: our marker and hostsTomlBody. */
export function renderHostsToml(
  registry: Pick<OrderedRegistry, "server">,
  caPath: string | null,
  origin: FolderOrigin,
): string {
  return markerLine(origin) + hostsTomlBody(registry.server, caPath);
}

/**
 * `server`, a root-level `ca` and a `[host]` table all name the same address: with `server` alone containerd 1.6
 * ignores the file, and without it a 404 hides behind the error of a fallback to a name that no node resolves. TLS
 * goes to the address itself, which the certificate names.
 *
 * @param caPath the CA file as the container runtime sees it, absolute; null where the system's trust is enough
 * @see https://github.com/containerd/containerd/blob/main/docs/hosts.md
 */
export function hostsTomlBody(server: string, caPath: string | null): string {
  const ca = caPath === null ? "" : `ca = ${JSON.stringify(caPath)}\n`;
  return [
    `server = ${JSON.stringify(server)}\n`,
    ca,
    `\n[host.${JSON.stringify(server)}]\n`,
    `  capabilities = ["pull", "resolve", "push"]\n`,
    ca === "" ? "" : `  ${ca}`,
  ].join("");
}

/** The text of the CA file; Go's PEM reader skips the line before the first certificate. */
export function renderCaFile(ca: string, origin: FolderOrigin): string {
  return markerLine(origin) + ca;
}

/** Whether a text without our marker is a configuration that somebody means, rather than a damaged file. */
export function looksLikeHostsToml(text: string): boolean {
  return /^\s*(server\s*=|\[\s*host\b)/m.test(text);
}
