import { type Document, isAlias, isMap, isScalar, isSeq, parseDocument, visit, type YAMLMap } from "yaml";
import { checkLogin, collectEntries, type ParsedConfig } from "./dockerconfig.ts";

const dictionaryName = "REGISTRY_CREDENTIALS";

/** For one look at a map. Nobody writes that many; what refers to itself, or multiplies, ends here. */
const mergedMapsAtMost = 100;

/**
 * Reads the dictionary of Tutor's registry plugin, YAML or JSON: `{host: {key_name, username, password, email?}}`,
 * alone or under `REGISTRY_CREDENTIALS` of a whole `config.yml`. Every scalar is taken as it is written, so that a
 * password of digits stays what it is; tags mean nothing. Anchors, aliases and merge keys are followed one step at a
 * time and never expanded.
 *
 * @see https://github.com/hastexo/tutor-contrib-registry
 * @see https://yaml.org/type/merge.html
 */
export function parseTutorDictionary(text: string): ParsedConfig {
  // Keys are compared by collectEntries: the parser compares each with each, 20 s for 20,000 of them.
  const options = { schema: "failsafe", uniqueKeys: false, prettyErrors: false, logLevel: "silent" } as const;
  const document = parseDocument(text, options);
  if (document.errors.length > 0) return { kind: "unreadable", message: "is neither YAML nor JSON" };
  const reader = createReader(document);
  const top = document.contents;
  if (top === null) return { kind: "entries", entries: {}, findings: [] };
  if (!isMap(top)) return { kind: "unreadable", message: "is not a dictionary of registries" };
  const named = reader.field(top, dictionaryName);
  const dictionary = named === undefined ? top : named;
  if (isScalar(dictionary) && String(dictionary.value ?? "") === "") {
    return { kind: "entries", entries: {}, findings: [] };
  }
  if (!isMap(dictionary)) return { kind: "unreadable", message: `holds no dictionary under ${dictionaryName}` };
  return collectEntries(
    reader
      .pairs(dictionary)
      .map(([key, value]) => [isScalar(key) ? String(key.value) : "", readRegistry(reader, value)]),
  );
}

type Reader = {
  /** The value under a key, undefined without one; of several of the map's own the last, before what is merged in. */
  field(map: YAMLMap, name: string): unknown;
  /** Key and value of each entry, those of merged maps after the map's own. */
  pairs(map: YAMLMap): readonly (readonly [unknown, unknown])[];
};

function createReader(document: Document): Reader {
  const targets = aliasTargets(document);
  const follow = (node: unknown): unknown => (isAlias(node) ? targets.get(node) : node);
  const isMerge = (key: unknown) => isScalar(key) && key.value === "<<" && key.type === "PLAIN";

  /** The map and those that are merged into it, the nearest first. */
  function mapsOf(map: YAMLMap): readonly YAMLMap[] {
    const maps = [map];
    for (let at = 0; at < maps.length && maps.length < mergedMapsAtMost; at++) {
      const merged = (maps[at]?.items ?? []).filter(({ key }) => isMerge(key)).map(({ value }) => follow(value));
      maps.push(...merged.flatMap((value) => (isSeq(value) ? value.items.map(follow) : [value])).filter(isMap));
    }
    return maps;
  }

  function pairs(map: YAMLMap): readonly (readonly [unknown, unknown])[] {
    const names = new Set<string>();
    return mapsOf(map).flatMap(({ items }) => {
      const own = items.map(({ key, value }) => [follow(key), follow(value)] as const).filter(([key]) => !isMerge(key));
      const added = own.filter(([key]) => !names.has(nameOf(key)));
      for (const [key] of own) names.add(nameOf(key));
      return added;
    });
  }

  return {
    pairs,
    field(map, name) {
      const own = map.items.findLast(({ key }) => nameOf(follow(key)) === name);
      return own === undefined ? pairs(map).find(([key]) => nameOf(key) === name)?.[1] : follow(own.value);
    },
  };
}

/** What each alias stands for: the last node before it with that anchor. */
function aliasTargets(document: Document): ReadonlyMap<unknown, unknown> {
  const anchors = new Map<string, unknown>();
  const targets = new Map<unknown, unknown>();
  visit(document, {
    Alias: (_key, alias) => void targets.set(alias, anchors.get(alias.source)),
    Value: (_key, node) => {
      if (node.anchor !== undefined) anchors.set(node.anchor, node);
    },
  });
  return targets;
}

function nameOf(key: unknown): string {
  return isScalar(key) ? String(key.value) : "";
}

function readRegistry(reader: Reader, value: unknown): ReturnType<typeof checkLogin> {
  if (!isMap(value)) return { kind: "finding", reason: "EntryMalformed", message: "is not a dictionary" };
  const fields: Record<string, string> = {};
  for (const name of ["username", "password", "email", "key_name"]) {
    const found = textOf(reader.field(value, name));
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
function textOf(node: unknown): string | undefined {
  if (node === undefined || node === null) return "";
  if (!isScalar(node)) return undefined;
  const isNull = node.type === "PLAIN" && ["null", "Null", "NULL", "~", ""].includes(String(node.value));
  return isNull ? "" : String(node.value);
}
