/**
 * Measures and writes what was measured into docs/benchmarks.md: `npm run bench NAME …`, or all without a name. Each
 * name is a folder of test/bench whose run.ts exports `runBench`, and a section between two markers in the document.
 */
import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

type Bench = { readonly runBench: (announce: (line: string) => void) => Promise<string> };

const document = fileURLToPath(new URL("../docs/benchmarks.md", import.meta.url));
const benches: Readonly<Record<string, () => Promise<Bench>>> = {
  admission: () => import("../test/bench/admission/run.ts"),
  credential: () => import("../test/bench/credential/run.ts"),
  kind: () => import("../test/bench/kind/run.ts"),
  main: () => import("../test/bench/main/run.ts"),
  registry: () => import("../test/bench/registry/run.ts"),
};

const head = `# Benchmarks

Each section is written by its command, \`npm run bench NAME\`, and says where and when. Run it on a machine that does
nothing else; on another one the ratios tell more than the numbers.
`;

const say = (line: string) => process.stderr.write(`${line}\n`);

process.exitCode = await main(process.argv.slice(2));

async function main(names: readonly string[]): Promise<number> {
  const unknown = names.find((name) => benches[name] === undefined);
  if (unknown !== undefined) {
    say(`bench: '${unknown}' is no benchmark; there are ${Object.keys(benches).join(", ")}`);
    return 2;
  }
  for (const name of names.length === 0 ? Object.keys(benches) : names) {
    const bench = await benches[name]?.();
    const section = await bench?.runBench((line) => say(`${name}: ${line}`));
    if (section === undefined) continue;
    const before = existsSync(document) ? await readFile(document, "utf8") : head;
    await writeFile(document, replaceSection(before, name, section));
    process.stdout.write(`${section}\n`);
  }
  return 0;
}

/** Puts a section between its markers; one that is not there yet comes last. */
function replaceSection(text: string, name: string, section: string): string {
  const [open, close] = [`<!-- bench:${name} -->`, `<!-- /bench:${name} -->`];
  const block = `${open}\n\n${section}\n\n${close}`;
  const from = text.indexOf(open);
  const to = text.indexOf(close);
  if (from === -1 || to < from) return `${text.trimEnd()}\n\n${block}\n`;
  return `${text.slice(0, from)}${block}${text.slice(to + close.length)}`;
}
