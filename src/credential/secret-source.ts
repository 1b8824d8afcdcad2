import type { KubernetesObject } from "../cluster/object.ts";
import { parseBasicAuth } from "./basic-auth.ts";
import { type ParsedConfig, parseDockerConfig } from "./dockerconfig.ts";
import type { SourceFailure, SourceReading } from "./source.ts";
import { parseTutorDictionary } from "./tutor.ts";

export type SecretReference = { readonly name: string; readonly key?: string };

const tutorKey = "REGISTRY_CREDENTIALS";

/**
 * Reads one Secret of Slipway's own namespace; its type says in which shape.
 *
 * | type | key, unless `key` names another |
 * |---|---|
 * | `kubernetes.io/dockerconfigjson` | `.dockerconfigjson` |
 * | `kubernetes.io/dockercfg` | `.dockercfg` |
 * | `kubernetes.io/basic-auth` | `registry`, `username`, `password`, `email` |
 * | `Opaque` | `REGISTRY_CREDENTIALS`: a Tutor dictionary |
 *
 * @param secret as the API server gives it, or undefined when there is none
 * @returns a reading whose messages name the Secret and the key and never hold content
 */
export function readSecretSource(secret: KubernetesObject | undefined, reference: SecretReference): SourceReading {
  const place = `Secret ${reference.name}`;
  if (secret === undefined) return failed("SecretMissing", `${place} does not exist`);
  const type = typeof secret.type === "string" ? secret.type : "Opaque";
  switch (type) {
    case "kubernetes.io/dockerconfigjson":
      return readKey(secret, place, reference.key ?? ".dockerconfigjson", (text) =>
        parseDockerConfig(text, "dockerconfigjson"),
      );
    case "kubernetes.io/dockercfg":
      return readKey(secret, place, reference.key ?? ".dockercfg", (text) => parseDockerConfig(text, "dockercfg"));
    case "kubernetes.io/basic-auth":
      return readBasicAuth(secret, place);
    case "Opaque":
      return readKey(secret, place, reference.key ?? tutorKey, parseTutorDictionary);
    default:
      return failed(
        "TypeUnsupported",
        `${place} has type ${type}; use kubernetes.io/dockerconfigjson, kubernetes.io/dockercfg, kubernetes.io/basic-auth or Opaque`,
      );
  }
}

/**
 * The same, remembering what it read: the compiled state is made anew at every change of anything, and a large YAML
 * document takes a second. What is remembered goes with the object that the store replaces.
 */
export function createSecretReader(): typeof readSecretSource {
  const known = new WeakMap<KubernetesObject, Map<string, SourceReading>>();
  return (secret, reference) => {
    if (secret === undefined) return readSecretSource(secret, reference);
    const readings = known.get(secret) ?? new Map<string, SourceReading>();
    known.set(secret, readings);
    const key = JSON.stringify([reference.name, reference.key]);
    const reading = readings.get(key) ?? readSecretSource(secret, reference);
    readings.set(key, reading);
    return reading;
  };
}

function readKey(
  secret: KubernetesObject,
  place: string,
  key: string,
  parse: (text: string) => ParsedConfig,
): SourceReading {
  const found = dataText(secret, key);
  if (found === undefined) return failed("KeyMissing", `${place} has no key ${key}`);
  if (found.text === undefined) return failed("ContentUnreadable", `${place}, key ${key}: is not UTF-8 text`);
  if (found.text.trim() === "") return failed("SourceEmpty", `${place}, key ${key}: is empty`);
  return toReading(parseSafely(parse, found.text), `${place}, key ${key}`);
}

/** A document may be nested deeper than a parser's stack: it must not stop the compilation of all others. */
function parseSafely(parse: (text: string) => ParsedConfig, text: string): ParsedConfig {
  try {
    return parse(text);
  } catch {
    // The parser's message may quote the text, which holds passwords.
    return { kind: "unreadable", message: "cannot be parsed; is it nested very deeply?" };
  }
}

function readBasicAuth(secret: KubernetesObject, place: string): SourceReading {
  const values: Record<string, string> = {};
  for (const key of ["registry", "username", "password", "email"]) {
    const found = dataText(secret, key);
    if (found === undefined) continue;
    if (found.text === undefined) return failed("ContentUnreadable", `${place}, key ${key}: is not UTF-8 text`);
    values[key] = found.text;
  }
  return toReading(parseBasicAuth(values), place);
}

/**
 * @param place what was read, for messages
 * @returns `failed` where nothing is left that could be served, so that the last good logins stay
 */
export function toReading(parsed: ParsedConfig, place: string): SourceReading {
  if (parsed.kind === "unreadable") return failed("ContentUnreadable", `${place}: ${parsed.message}`);
  const findings = parsed.findings.map((finding) => ({ ...finding, message: `${place}: ${finding.message}` }));
  if (Object.keys(parsed.entries).length > 0) return { kind: "entries", entries: parsed.entries, findings };
  return { ...failed("SourceEmpty", `${place}: holds no login that can be used`), findings };
}

function failed(reason: SourceFailure, message: string): Extract<SourceReading, { kind: "failed" }> {
  return { kind: "failed", reason, message };
}

function dataText(secret: KubernetesObject, key: string): { readonly text: string | undefined } | undefined {
  const data = (typeof secret.data === "object" && secret.data !== null ? secret.data : {}) as Record<string, unknown>;
  const encoded = Object.hasOwn(data, key) ? data[key] : undefined;
  if (typeof encoded !== "string") return undefined;
  return { text: decodeText(Buffer.from(encoded, "base64")) };
}

/** Text of UTF-8 bytes without a byte order mark; undefined for what is none, UTF-16 for example. */
export function decodeText(bytes: Buffer): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return undefined; // its only fault: a sequence that is not UTF-8
  }
}
