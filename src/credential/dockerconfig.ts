import type { RegistryAuth } from "../config/compiled.ts";
import { canonicalRegistryKey, parseRegistryKey } from "./registry-key.ts";
import type { FindingReason, RegistryAuths, SourceFinding } from "./source.ts";

export type ParsedEntries = {
  readonly kind: "entries";
  readonly entries: RegistryAuths;
  readonly findings: readonly SourceFinding[];
};
export type ParsedConfig = ParsedEntries | { readonly kind: "unreadable"; readonly message: string };

/**
 * Reads a docker config as kubelet does: field names in any case, `auth` before `username` and `password`, other
 * fields ignored. kubelet gives up on the whole document at the first entry that it cannot read; here that entry is
 * left out with a finding and the others stay.
 *
 * @param shape `dockerconfigjson`: entries under `auths`; `dockercfg`: entries at the top
 * @see https://github.com/kubernetes/kubernetes/blob/master/pkg/credentialprovider/config.go
 */
export function parseDockerConfig(text: string, shape: "dockerconfigjson" | "dockercfg"): ParsedConfig {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    // The parser's message quotes the text, which holds passwords.
    return { kind: "unreadable", message: "is not JSON" };
  }
  if (!isObject(document)) return { kind: "unreadable", message: "is not a JSON object" };
  const auths = shape === "dockercfg" ? document : (field(document, "auths") ?? {});
  if (!isObject(auths)) return { kind: "unreadable", message: "holds no object under auths" };
  return collectEntries(Object.entries(auths).map(([key, value]) => [key, readEntry(value)]));
}

type EntryResult =
  | { readonly kind: "login"; readonly auth: RegistryAuth }
  | { readonly kind: "finding"; readonly reason: FindingReason; readonly message: string };

/**
 * Files entries under their canonical registry key; the first of several with the same key stays.
 *
 * @param read raw key → what was read of its entry, in order of the document
 */
export function collectEntries(read: readonly (readonly [string, EntryResult])[]): ParsedEntries {
  const entries = new Map<string, RegistryAuth>();
  const findings: SourceFinding[] = [];
  read.forEach(([rawKey, result], index) => {
    const parts = parseRegistryKey(rawKey);
    if (parts === undefined) {
      // What cannot be read as a key may be anything, a password included: it is named by its place.
      const message = `entry ${index + 1}: its key is not host[:port][/path]`;
      findings.push({ reason: "RegistryKeyInvalid", message });
      return;
    }
    const registry = canonicalRegistryKey(parts);
    if (result.kind === "finding") {
      findings.push({ reason: result.reason, registry, message: `${registry}: ${result.message}` });
    } else if (entries.has(registry)) {
      findings.push({ reason: "KeyRepeated", registry, message: `${registry}: named twice, the first entry is used` });
    } else {
      entries.set(registry, result.auth);
    }
  });
  return { kind: "entries", entries: Object.fromEntries(entries), findings };
}

/** Whether a login can be used to pull: kubelet hands over nothing but user name and password. */
export function checkLogin(login: { username: string; password: string; identityToken?: string }): EntryResult {
  const { username, password, identityToken = "" } = login;
  if (username !== "" && password !== "") return { kind: "login", auth: { username, password } };
  if (identityToken !== "") {
    return {
      kind: "finding",
      reason: "IdentityTokenOnly",
      message: "holds only an identity token, with which kubelet cannot pull; use a user name and a password or token",
    };
  }
  return {
    kind: "finding",
    reason: "LoginMissing",
    message: "holds no user name and password (a credential helper may keep them); write them into the entry",
  };
}

function readEntry(value: unknown): EntryResult {
  if (value !== null && !isObject(value)) return malformed("is not an object");
  const fields: Record<string, string> = {};
  for (const name of ["username", "password", "email", "auth"]) {
    const found = field(value ?? {}, name) ?? "";
    if (typeof found !== "string") return malformed(`${name} is not a string`);
    fields[name] = found;
  }
  const { username = "", password = "", email = "", auth = "" } = fields;
  // kubelet does not know this field: whatever it is, it does no harm beside a login.
  const identityToken = String(field(value ?? {}, "identitytoken") ?? "");
  const decoded = auth === "" ? { username, password } : decodeAuth(auth);
  if (decoded === undefined) return malformed("auth is not base64 of <user name>:<password>");
  const checked = checkLogin({ ...decoded, identityToken });
  if (checked.kind === "finding" || email === "") return checked;
  return { kind: "login", auth: { ...checked.auth, email } };
}

function malformed(what: string): EntryResult {
  return { kind: "finding", reason: "EntryMalformed", message: what };
}

const padded = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)$/;
const unpadded = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2,3})?$/;

/** base64 of Go: standard alphabet, line ends ignored, with padding or without. */
function decodeAuth(auth: string): { readonly username: string; readonly password: string } | undefined {
  const text = auth.replace(/[\r\n]/g, "");
  if (!padded.test(text) && !unpadded.test(text)) return undefined;
  let decoded: string;
  try {
    decoded = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(Buffer.from(text, "base64"));
  } catch {
    return undefined; // kubelet passes logins on in protobuf, whose strings are UTF-8
  }
  const colon = decoded.indexOf(":");
  return colon === -1 ? undefined : { username: decoded.slice(0, colon), password: decoded.slice(colon + 1) };
}

/**
 * The document under `.dockerconfigjson`: keys sorted, no white space, so that equal logins are equal bytes. Each
 * entry has `username` and `password` for kubelet, and `auth` for the tools that read nothing else; a user name with
 * a colon cannot be said in `auth`, which kubelet would prefer, so it is left out there.
 */
export function formatDockerConfig(auths: RegistryAuths): string {
  const entries = Object.entries(auths).map(([key, { username, password, email }]) => {
    const auth = Buffer.from(`${username}:${password}`).toString("base64");
    return [
      key,
      {
        ...(username.includes(":") ? {} : { auth }),
        ...(email === undefined ? {} : { email }),
        password,
        username,
      },
    ] as const;
  });
  entries.sort(([left], [right]) => (left < right ? -1 : 1));
  return JSON.stringify({ auths: Object.fromEntries(entries) });
}

/** A field of a Go struct: its name in any case, the last one wins, null is absent. */
function field(object: object, name: string): unknown {
  let found: unknown;
  for (const [key, value] of Object.entries(object)) {
    if (key.toLowerCase() === name && value !== null) found = value;
  }
  return found;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
