import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { rootCertificates } from "node:tls";
import { systemClock } from "../clock.ts";
import { parseDockerConfig } from "../credential/dockerconfig.ts";
import { findLogins } from "../credential/keyring.ts";
import type { Login } from "../credential/login.ts";
import { SlipwayError } from "../errors.ts";
import { errorCode } from "../node/disk.ts";
import { parseReference } from "../reference/parse.ts";
import { createRegistryClient, type RegistryClient } from "../registry/client.ts";

export type ContractRegistryFlags = { readonly login?: string; readonly plainHttp?: boolean };

/** `name` is host and path as the user means them, the path without the host is the repository. */
export type ContractImage = { readonly name: string; readonly host: string; readonly path: string };

/** @throws SlipwayError CONFIG_INVALID for a reference with tag or digest, REFERENCE_INVALID */
export function readImage(text: string): ContractImage {
  const { registry: host, path, tag, digest } = parseReference(text);
  if (tag !== undefined || digest !== undefined) {
    throw new SlipwayError("CONFIG_INVALID", `--image ${text}: leave tag and digest out, each check makes its own tag`);
  }
  return { name: `${host}/${path}`, host, path };
}

/**
 * A client that pushes by the very name that nodes pull by, with the login that the folder holds for it.
 *
 * @throws SlipwayError CONFIG_INVALID
 */
export async function openContractRegistry(
  flags: ContractRegistryFlags,
  { host, path }: ContractImage,
): Promise<RegistryClient> {
  const folder = flags.login ?? "";
  const login = folder === "" ? undefined : await readLogin(folder, { host, path });
  const own = folder === "" ? undefined : await readIfThere(join(folder, "ca.crt"));
  const trust = own === undefined ? undefined : [own, ...rootCertificates].join("\n");
  // Docker Hub's API has another name than its images.
  const address = host === "docker.io" ? "registry-1.docker.io" : host;
  return createRegistryClient({
    origin: `${flags.plainHttp === true ? "http" : "https"}://${address}`,
    ca: () => trust,
    login: () => login,
    clock: systemClock,
    random: Math.random,
  });
}

async function readLogin(folder: string, image: { readonly host: string; readonly path: string }): Promise<Login> {
  const file = join(folder, ".dockerconfigjson");
  const text = await readIfThere(file);
  if (text === undefined) {
    const advice =
      "is the Secret there, and its type kubernetes.io/dockerconfigjson? Slipway's own, slipway-push, needs";
    const push = "the component push and the annotation slipway.dev/push: enabled on the namespace";
    throw new SlipwayError("CONFIG_INVALID", `${file} cannot be read; ${advice} ${push}`);
  }
  const config = parseDockerConfig(text, "dockerconfigjson");
  if (config.kind === "unreadable") throw new SlipwayError("CONFIG_INVALID", `${file} ${config.message}`);
  const [match] = findLogins(config.entries, image);
  if (match !== undefined) return match.auth;
  const known = Object.keys(config.entries).join(", ") || "none";
  throw new SlipwayError("CONFIG_INVALID", `${file}: no login for ${image.host}/${image.path}; there are: ${known}`);
}

async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    if (errorCode(error) === "ENOENT") return undefined;
    throw new SlipwayError("CONFIG_INVALID", `${file} cannot be read (${errorCode(error)})`, { cause: error });
  }
}
