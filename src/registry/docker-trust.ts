import { mkdir, rename, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";

export type DockerTrustOutcome =
  | { readonly kind: "written"; readonly path: string }
  /** Not allowed here: the CA lies at `copy`, and belongs at `path`. */
  | { readonly kind: "denied"; readonly path: string; readonly copy: string };

/**
 * The folder in which docker's daemon looks for CAs: the system's, the user's own where the daemon is a rootless one, and
 * the one that Docker Desktop (macOS, Windows) copies into its machine when it starts.
 *
 * @param env `HOME`, and of docker's own variables `DOCKER_HOST` and `XDG_CONFIG_HOME`
 * @see https://github.com/moby/moby/blob/master/daemon/pkg/registry/config.go (CertsDir)
 * @see https://docs.docker.com/desktop/troubleshoot-and-support/faqs/macfaqs/
 */
export function dockerCertsDirectory(
  env: Readonly<Record<string, string | undefined>>,
  platform: NodeJS.Platform,
): string {
  const home = env.HOME ?? "";
  if (isDesktop(platform)) return join(home, ".docker", "certs.d");
  const isRootless = env.DOCKER_HOST?.startsWith("unix:///run/user/") === true;
  return isRootless ? join(env.XDG_CONFIG_HOME ?? join(home, ".config"), "docker", "certs.d") : "/etc/docker/certs.d";
}

/** Whether docker is Docker Desktop there, which reads CAs only when it starts. */
export function isDesktop(platform: NodeJS.Platform): boolean {
  return platform === "darwin" || platform === "win32";
}

/**
 * Puts the CA where docker looks for it, `<certsDirectory>/<host:port>/ca.crt`; docker reads it at the next request.
 * Where that is not allowed, a copy is kept beside docker's config.json.
 *
 * @see https://docs.docker.com/engine/security/certificates/
 */
export async function storeDockerTrust(
  folders: { readonly certsDirectory: string; readonly configDirectory: string },
  host: string,
  ca: string,
): Promise<DockerTrustOutcome> {
  const path = join(folders.certsDirectory, host, "ca.crt");
  try {
    await writeWhole(path, ca);
    return { kind: "written", path };
  } catch (error) {
    const { code } = error as { code?: unknown };
    if (code !== "EACCES" && code !== "EPERM" && code !== "EROFS") throw error;
  }
  const copy = join(folders.configDirectory, "slipway", host, "ca.crt");
  await writeWhole(copy, ca);
  return { kind: "denied", path, copy };
}

async function writeWhole(path: string, content: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const temporary = `${path}.slipway-${process.pid}`;
  await writeFile(temporary, content, { mode: 0o644 });
  await rename(temporary, path);
}
