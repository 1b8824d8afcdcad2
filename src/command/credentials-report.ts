import { stringify } from "yaml";
import { systemClock } from "../clock.ts";
import type { ClusterApi } from "../cluster/api.ts";
import { resources } from "../cluster/resource.ts";
import { systemNamespace } from "../config/names.ts";
import type { CredentialSourceSpec, PullCredentialSpec, PullCredentialStatus } from "../config/pull-credential.ts";
import { checkRegistryLogin } from "../credential/check-login.ts";
import { readSecretSource } from "../credential/secret-source.ts";
import { sourceId } from "../credential/source.ts";
import { SlipwayError } from "../errors.ts";
import { readObject } from "../registry/observe.ts";
import { readText } from "../registry/state-file.ts";
import type { CommandContext } from "./program.ts";

type Row = Readonly<Record<string, string>>;

/** `slipway credentials list`. @returns 1 where one is not Ready */
export async function listCredentials(context: CommandContext, api: ClusterApi, output: string): Promise<number> {
  const write = formatOf(output);
  const objects = await api.list(resources.pullCredentials, {}, context.stop);
  const rows = objects.map(({ metadata, spec, status }): Row => {
    const { registries = [], namespaces, conditions = [] } = (status ?? {}) as PullCredentialStatus;
    const ready = conditions.find(({ type }) => type === "Ready");
    return {
      name: metadata.name,
      registries: registries.join(","),
      synced: namespaces?.summary ?? "",
      ready: ready?.status ?? "Unknown",
      reason: ready?.reason ?? "",
      sources: (spec as PullCredentialSpec).sources.map((source) => sourceId(source) ?? "").join(","),
    };
  });
  context.stdout.write(write(["name", "registries", "synced", "ready", "reason", "sources"], rows));
  return rows.some(({ ready }) => ready !== "True") ? 1 : 0;
}

/**
 * `slipway credentials check`: each login of each source at its registry, from this machine.
 *
 * @returns 1 where one is refused, unreachable or cannot be read
 */
export async function checkCredentials(
  context: CommandContext,
  api: ClusterApi,
  flags: { readonly names: readonly string[]; readonly output: string; readonly caFile?: string },
): Promise<number> {
  const write = formatOf(flags.output);
  const ca = flags.caFile === undefined ? undefined : await readText(flags.caFile);
  const objects = await api.list(resources.pullCredentials, {}, context.stop);
  const absent = flags.names.filter((name) => !objects.some(({ metadata }) => metadata.name === name));
  if (absent.length > 0) {
    throw new SlipwayError("CONFIG_INVALID", `there is no PullCredential ${absent.join(", ")}`);
  }
  const chosen = objects.filter(({ metadata }) => flags.names.length === 0 || flags.names.includes(metadata.name));
  const rows: Row[] = [];
  for (const { metadata, spec } of chosen) {
    for (const source of (spec as PullCredentialSpec).sources) {
      rows.push(...(await checkSource({ context, api, ca }, metadata.name, source)));
    }
  }
  context.stdout.write(write(["name", "source", "registry", "username", "result", "message"], rows));
  return rows.some(({ result = "" }) => ["refused", "unreachable", "unreadable"].includes(result)) ? 1 : 0;
}

async function checkSource(
  needs: { readonly context: CommandContext; readonly api: ClusterApi; readonly ca: string | undefined },
  name: string,
  spec: CredentialSourceSpec,
): Promise<readonly Row[]> {
  const { context, api, ca } = needs;
  const source = sourceId(spec) ?? "";
  const row = { name, source, registry: "", username: "", message: "" };
  if (spec.secretRef === undefined) {
    return [{ ...row, result: "skipped", message: "a file of serve's pods cannot be read from here" }];
  }
  const address = { namespace: systemNamespace, name: spec.secretRef.name };
  const secret = await readObject(api, resources.secrets, address, context.stop);
  const reading = readSecretSource(secret, spec.secretRef);
  const unusable = (reading.findings ?? []).map(({ message }) => ({ ...row, result: "unreadable", message }));
  if (reading.kind === "failed") return [{ ...row, result: "unreadable", message: reading.message }, ...unusable];
  const checked: Row[] = [];
  for (const [registry, login] of Object.entries(reading.entries)) {
    const signal = AbortSignal.any([context.stop, AbortSignal.timeout(30_000)]);
    const found = await checkRegistryLogin({ ca, clock: systemClock, random: Math.random }, registry, {
      login,
      signal,
    });
    const message = "message" in found ? found.message : "";
    checked.push({ ...row, registry, username: login.username, result: found.kind, message });
  }
  return [...checked, ...unusable];
}

type Format = (columns: readonly string[], rows: readonly Row[]) => string;

const formats: Readonly<Record<string, Format>> = {
  json: (_columns, rows) => `${JSON.stringify(rows, null, 2)}\n`,
  yaml: (_columns, rows) => stringify(rows),
  table: (columns, rows) => {
    const lines = [
      columns.map((name) => name.toUpperCase()),
      ...rows.map((row) => columns.map((name) => row[name] ?? "")),
    ];
    const widths = columns.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
    const render = (line: readonly string[]) => line.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ");
    return lines.map((line) => `${render(line).trimEnd()}\n`).join("");
  },
};

function formatOf(output: string): Format {
  const format = formats[output];
  if (format === undefined) {
    throw new SlipwayError("CONFIG_INVALID", `--output ${output}: use table, json or yaml`);
  }
  return format;
}
