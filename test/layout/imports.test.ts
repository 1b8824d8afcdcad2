import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** `from` and `to` are paths below src; a package keeps its name. `isType` for imports that vanish at run time. */
type Import = { readonly from: string; readonly to: string; readonly isType: boolean };

const sources = globSync("src/**/*.ts", { cwd: root }).filter((file) => !file.endsWith(".test.ts"));
const imports: readonly Import[] = sources.flatMap(importsOf);

function importsOf(file: string): readonly Import[] {
  const text = readFileSync(join(root, file), "utf8");
  const statement =
    /^\s*(?:import|export)\s+(type\s)?[^;'"]*?\bfrom\s+["']([^"']+)["']|^import\s+["']([^"']+)["']|\bimport\(["']([^"']+)["']\)/gm;
  return [...text.matchAll(statement)].map(([, type, from, bare, dynamic]) => {
    const target = from ?? bare ?? dynamic ?? "";
    const to = target.startsWith(".") ? normalize(join(dirname(file), target)) : target;
    return { from: below(file), to: below(to), isType: type !== undefined };
  });
}

function below(path: string): string {
  return path.replace(/^src\//, "");
}

function folder(path: string): string {
  return path.includes("/") ? (path.split("/")[0] ?? "") : "";
}

function describeImport({ from, to }: Import): string {
  return `src/${from} imports ${to}`;
}

test("there is something to look at", () => {
  assert.ok(sources.length > 50, `${sources.length} source files`);
  assert.ok(imports.length > 200, `${imports.length} imports`);
});

test("no file imports what does not exist in src", () => {
  const known = new Set(sources.map(below));
  const local = imports.filter(({ to }) => to.endsWith(".ts"));
  assert.deepEqual(local.filter(({ to }) => !known.has(to)).map(describeImport), []);
});

test("nobody but src/main.ts imports from src/command", () => {
  const strays = imports.filter(
    ({ from, to }) => folder(to) === "command" && folder(from) !== "command" && from !== "main.ts",
  );
  assert.deepEqual(strays.map(describeImport), []);
});

test("nobody but src/command imports from src/dev", () => {
  const strays = imports.filter(({ from, to }) => folder(to) === "dev" && !["dev", "command"].includes(folder(from)));
  assert.deepEqual(strays.map(describeImport), []);
});

test("only src/cluster imports the Kubernetes client", () => {
  const users = imports.filter(({ to }) => to.startsWith("@kubernetes/client-node"));
  assert.ok(users.length > 0, "nobody imports the Kubernetes client: this test looks for the wrong name");
  assert.deepEqual(users.filter(({ from }) => folder(from) !== "cluster").map(describeImport), []);
});

describe("admission and reference are pure", () => {
  /** Beside each other: errors, and types of what they decide by. */
  const allowed = (target: Import) =>
    ["admission", "reference"].includes(folder(target.to)) ||
    target.to === "errors.ts" ||
    (folder(target.to) === "config" &&
      (target.isType || target.to === "config/names.ts" || target.to === "config/selector.ts"));

  test("they import only each other, errors, and names, selectors and types of config", () => {
    const own = imports.filter(({ from }) => ["admission", "reference"].includes(folder(from)));
    assert.ok(own.length > 5, "admission and reference import nothing: this test looks in the wrong place");
    assert.deepEqual(own.filter((entry) => !allowed(entry)).map(describeImport), []);
  });

  test("reference does not know admission", () => {
    const strays = imports.filter(({ from, to }) => folder(from) === "reference" && folder(to) === "admission");
    assert.deepEqual(strays.map(describeImport), []);
  });
});

test("config knows no folder but the types of cluster's objects", () => {
  const strays = imports
    .filter(({ from, to }) => folder(from) === "config" && to.endsWith(".ts") && !["config", ""].includes(folder(to)))
    .filter(({ to, isType }) => !(isType && to === "cluster/object.ts"));
  assert.deepEqual(strays.map(describeImport), []);
});

test("no two folders import each other's code in a circle of files", () => {
  const edges = new Map<string, string[]>();
  for (const { from, to, isType } of imports) {
    if (to.endsWith(".ts") && !isType) edges.set(from, [...(edges.get(from) ?? []), to]);
  }
  assert.deepEqual(findCircle(edges), undefined);
});

/** @returns the files of one circle, in order, or undefined */
function findCircle(edges: ReadonlyMap<string, readonly string[]>): readonly string[] | undefined {
  const done = new Set<string>();
  const visit = (file: string, path: readonly string[]): readonly string[] | undefined => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file];
    if (done.has(file)) return undefined;
    for (const next of edges.get(file) ?? []) {
      const circle = visit(next, [...path, file]);
      if (circle !== undefined) return circle;
    }
    done.add(file);
    return undefined;
  };
  for (const file of edges.keys()) {
    const circle = visit(file, []);
    if (circle !== undefined) return circle;
  }
  return undefined;
}

describe("only src/command reads the process", () => {
  for (const word of ["process.env", "process.argv", "process.exit("]) {
    test(word, () => {
      const users = sources.filter((file) => folder(below(file)) !== "command" && below(file) !== "main.ts");
      assert.deepEqual(
        users.filter((file) => code(file).includes(word)),
        [],
      );
    });
  }
});

test("no file is called after nothing: utils, helpers, common, manager, service, base, misc", () => {
  const empty = /(?:^|\/)(?:utils?|helpers?|common|managers?|service|base|misc)(?:\/|\.ts$)/;
  assert.deepEqual(
    sources.filter((file) => empty.test(file)),
    [],
  );
});

test("a file of more than 300 lines says why in its first comment", () => {
  const long = sources.filter((file) => readFileSync(join(root, file), "utf8").split("\n").length > 301);
  assert.deepEqual(
    long.filter((file) => !/^\/[/*]/.test(readFileSync(join(root, file), "utf8"))),
    [],
  );
});

/** The text without comments. */
function code(file: string): string {
  return readFileSync(join(root, file), "utf8").replaceAll(/\/\*[\s\S]*?\*\/|(?<!:)\/\/.*$/gm, "");
}
