import { isMap, isScalar, parseDocument, type YAMLMap } from "yaml";
import { checkLogin, collectEntries, type ParsedConfig } from "./dockerconfig.ts";

const dictionaryName = "REGISTRY_CREDENTIALS";

/**
 * Reads the dictionary of Tutor's registry plugin, YAML or JSON: `{host: {key_name, username, password, email?}}`,
 * alone or under `REGISTRY_CREDENTIALS` of a whole `config.yml`. Every scalar is taken as it is written, so that a
 * password of digits stays what it is.
 *
 * @see https://github.com/hastexo/tutor-contrib-registry
 */
export function parseTutorDictionary(text: string): ParsedConfig {
  const document = parseDocument(text, { schema: "failsafe", prettyErrors: false, logLevel: "silent" });
  if (document.errors.length > 0) return { kind: "unreadable", message: "is neither YAML nor JSON" };
  const top = document.contents;
  if (top === null) return { kind: "entries", entries: {}, findings: [] };
  if (!isMap(top)) return { kind: "unreadable", message: "is not a dictionary of registries" };
  const dictionary = top.has(dictionaryName) ? top.get(dictionaryName, true) : top;
  if (isScalar(dictionary) && String(dictionary.value ?? "") === "") {
    return { kind: "entries", entries: {}, findings: [] };
  }
  if (!isMap(dictionary)) return { kind: "unreadable", message: `holds no dictionary under ${dictionaryName}` };
  return collectEntries(
    dictionary.items.map(({ key, value }) => [isScalar(key) ? String(key.value) : "", readRegistry(value)]),
  );
}

function readRegistry(value: unknown): ReturnType<typeof checkLogin> {
  if (!isMap(value)) return { kind: "finding", reason: "EntryMalformed", message: "is not a dictionary" };
  const fields: Record<string, string> = {};
  for (const name of ["username", "password", "email", "key_name"]) {
    const found = scalarOf(value, name);
    if (found === undefined) {
      return { kind: "finding", reason: "EntryMalformed", message: `${name} is not a plain value` };
    }
    fields[name] = found;
  }
  const { username = "", password = "", email = "", key_name: keyName = "" } = fields;
  const checked = checkLogin({ username, password });
  if (checked.kind === "finding") return checked;
  return {
    kind: "login",
    auth: { ...checked.auth, ...(email === "" ? {} : { email }), ...(keyName === "" ? {} : { keyName }) },
  };
}

/** "" where the field is absent or null; undefined where it is no scalar. */
function scalarOf(map: YAMLMap, name: string): string | undefined {
  const node = map.get(name, true);
  if (node === undefined || node === null) return "";
  if (!isScalar(node)) return undefined;
  const isNull = node.type === "PLAIN" && ["null", "Null", "NULL", "~", ""].includes(String(node.value));
  return isNull ? "" : String(node.value);
}
