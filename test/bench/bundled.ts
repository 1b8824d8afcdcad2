import { basename, join } from "node:path";
import { build } from "esbuild";
import { bundleOptions } from "../../scripts/bundle-options.ts";

/**
 * Bundles programs into a folder as the product is bundled. Started from source, a program carries the compiler that
 * takes its types away: some 25 MiB, and a slower start.
 *
 * @param files modules of this checkout
 * @returns the path of what such a file became
 */
export async function bundleInto(folder: string, files: readonly string[]): Promise<(file: string) => string> {
  await build({ ...bundleOptions, entryPoints: [...files], outdir: folder, outExtension: { ".js": ".mjs" } });
  return (file) => join(folder, basename(file).replace(/\.ts$/, ".mjs"));
}
