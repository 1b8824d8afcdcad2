import { spawn } from "node:child_process";
import type { RegistryAuth } from "../config/compiled.ts";
import { SlipwayError } from "../errors.ts";
import { readText } from "../registry/state-file.ts";
import { checkLogin, collectEntries, type ParsedEntries, parseDockerConfig } from "./dockerconfig.ts";
import { canonicalRegistryKey, parseRegistryKey } from "./registry-key.ts";

export type DockerImportNeeds = {
  /** docker's config.json. */
  readonly path: string;
  /** Of docker-credential-… programs. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Only these registries; all that the file names when it is empty. */
  readonly hosts: readonly string[];
};

type HelperAnswer = ReturnType<typeof checkLogin>;

/**
 * The logins that docker on this machine would use: from config.json itself, or from the credential helper that it
 * names for a registry.
 *
 * @returns findings for what cannot be used to pull, and for a registry of `hosts` that the file does not name
 * @throws SlipwayError CONFIG_INVALID for a file that is absent or no docker config; PROGRAM_FAILED by a helper
 * @see https://github.com/docker/docker-credential-helpers#development (the protocol: `get`, the host on standard input)
 */
export async function readDockerLogins(needs: DockerImportNeeds): Promise<ParsedEntries> {
  const text = await readText(needs.path);
  const parsed = parseDockerConfig(text, "dockerconfigjson");
  if (parsed.kind === "unreadable") throw new SlipwayError("CONFIG_INVALID", `${needs.path}: ${parsed.message}`);
  const config = JSON.parse(text) as Readonly<Record<string, unknown>>;
  const wanted = needs.hosts.map(canonical);
  const isWanted = (key: string) => wanted.length === 0 || wanted.includes(canonical(key));

  const asked: (readonly [string, HelperAnswer])[] = [];
  for (const [host, helper] of helpersOf(config)) {
    if (isWanted(host)) asked.push([host, await askHelper(`docker-credential-${helper}`, host, needs.env)]);
  }
  const fromHelpers = collectEntries(asked);
  const entries: Record<string, RegistryAuth> = { ...fromHelpers.entries };
  for (const [key, auth] of Object.entries(parsed.entries)) if (isWanted(key)) entries[key] ??= auth;
  const own = parsed.findings.filter(
    ({ registry }) => registry !== undefined && isWanted(registry) && entries[registry] === undefined,
  );
  const told = new Set(fromHelpers.findings.map(({ registry }) => registry));
  const found = [...fromHelpers.findings, ...own.filter(({ registry }) => !told.has(registry))];
  const named = new Set([...Object.keys(entries), ...found.map(({ registry }) => registry)]);
  const absent = wanted.filter((key) => !named.has(key));
  const missing = absent.map((registry) => ({
    reason: "LoginMissing" as const,
    registry,
    message: `${registry}: ${needs.path} has no login for it; run docker login first`,
  }));
  return { kind: "entries", entries, findings: [...found, ...missing] };
}

function canonical(key: string): string {
  const parts = parseRegistryKey(key);
  if (parts === undefined) throw new SlipwayError("CONFIG_INVALID", `'${key}' is not host[:port][/path]`);
  return canonicalRegistryKey(parts);
}

/** Registry → helper: those named one by one, and every registry of `auths` where `credsStore` keeps the logins. */
function helpersOf(config: Readonly<Record<string, unknown>>): readonly (readonly [string, string])[] {
  const named = Object.entries(recordOf(config.credHelpers));
  const { credsStore } = config;
  const kept =
    typeof credsStore !== "string" || credsStore === ""
      ? []
      : Object.keys(recordOf(config.auths)).map((host) => [host, credsStore] as const);
  const helpers = new Map<string, string>();
  for (const [host, helper] of [...kept, ...named]) {
    const isUsable = typeof helper === "string" && /^[A-Za-z0-9._-]+$/.test(helper);
    if (isUsable && parseRegistryKey(host) !== undefined) helpers.set(host, helper);
  }
  return [...helpers];
}

async function askHelper(program: string, host: string, env: DockerImportNeeds["env"]): Promise<HelperAnswer> {
  const child = spawn(program, ["get"], { env, stdio: ["pipe", "pipe", "ignore"] });
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  child.stdin.on("error", () => undefined); // a helper that ends early is told by its exit code
  child.stdin.end(host);
  const chunks: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
  const code = await ended.catch((error: Error) => {
    throw new SlipwayError("PROGRAM_FAILED", `${program}, which docker's config.json names: ${error.message}`, {
      cause: error,
    });
  });
  // By the protocol a helper that has no such login ends with 1; what it prints then may be anything.
  if (code !== 0) return { kind: "finding", reason: "LoginMissing", message: `${program} keeps no login for it` };
  return readAnswer(program, Buffer.concat(chunks).toString("utf8"));
}

function readAnswer(program: string, text: string): HelperAnswer {
  let answer: unknown;
  try {
    answer = JSON.parse(text);
  } catch {
    // The parser's message would quote the answer, which is a password.
    throw new SlipwayError("PROGRAM_FAILED", `${program} get did not answer with JSON`);
  }
  const { Username: username, Secret: secret } = recordOf(answer);
  if (typeof username !== "string" || typeof secret !== "string") {
    throw new SlipwayError("PROGRAM_FAILED", `${program} get answered without Username and Secret`);
  }
  // "<token>" says that the secret is an identity token.
  return username === "<token>"
    ? checkLogin({ username: "", password: "", identityToken: secret })
    : checkLogin({ username, password: secret });
}

function recordOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}
