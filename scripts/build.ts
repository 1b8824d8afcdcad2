/**
 * Bundles the program into dist/: main.js and one chunk for each subcommand, so that the node agent does not load the
 * controllers. Prints what each subcommand loads. dist/ is what the image and the npm package hold.
 */
import { chmod, rm, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { build, type Metafile } from "esbuild";
import { bundleOptions } from "./bundle-options.ts";

const root = fileURLToPath(new URL("..", import.meta.url));

await rm(`${root}dist`, { recursive: true, force: true });
const { metafile } = await build({
  ...bundleOptions,
  absWorkingDir: root,
  entryPoints: ["src/main.ts"],
  outdir: "dist",
  splitting: true,
  sourcemap: "linked",
  chunkNames: "chunks/[name]-[hash]",
  metafile: true,
});
await chmod(`${root}dist/main.js`, 0o755);
// In the image there is no other package.json above that says what the files are.
await writeFile(`${root}dist/package.json`, `${JSON.stringify({ type: "module" })}\n`);
printSizes(metafile);

function printSizes(meta: Metafile): void {
  const main = "dist/main.js";
  const rows = Object.entries(meta.outputs)
    .flatMap(([file, { entryPoint }]) => (entryPoint === undefined ? [] : [{ file, entryPoint }]))
    .map(({ file, entryPoint }) => ({
      name: file === main ? "main.js alone" : (/command\/(.+)\.ts$/.exec(entryPoint)?.[1] ?? entryPoint),
      bytes: bytesOf(meta, file === main ? [main] : [main, file]),
    }))
    .sort((one, other) => other.bytes - one.bytes);
  const all = Object.entries(meta.outputs).filter(([file]) => file.endsWith(".js"));
  const total = all.reduce((sum, [, { bytes }]) => sum + bytes, 0);
  for (const { name, bytes } of rows) process.stdout.write(`${name.padEnd(16)} loads ${kilobytes(bytes)}\n`);
  process.stdout.write(`${"dist".padEnd(16)} holds ${kilobytes(total)} in ${all.length} files, maps not counted\n`);
}

/** The files and what they import statically: what Node reads before the first line runs. */
function bytesOf(meta: Metafile, files: readonly string[]): number {
  const seen = new Set<string>();
  const waiting = [...files];
  for (let file = waiting.pop(); file !== undefined; file = waiting.pop()) {
    const output = meta.outputs[file];
    if (output === undefined || seen.has(file)) continue;
    seen.add(file);
    waiting.push(...output.imports.filter(({ kind }) => kind === "import-statement").map(({ path }) => path));
  }
  return [...seen].reduce((sum, file) => sum + (meta.outputs[file]?.bytes ?? 0), 0);
}

function kilobytes(bytes: number): string {
  return `${Math.ceil(bytes / 1000)} kB`.padStart(8);
}
