import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { errorCode } from "./disk.ts";
import { type HostFile, isOurHostFile } from "./host-files.ts";

export type HostFileOutcome =
  | { readonly kind: "written" | "unchanged"; readonly path: string }
  /** Somebody else's: it stays. */
  | { readonly kind: "foreign"; readonly path: string }
  /** The system does not let us; `code` is its word, e.g. `EACCES`. */
  | { readonly kind: "refused"; readonly path: string; readonly code: string };

/**
 * Writes a file whole, by rename, below `root`. A file that is there and does not carry our line is left alone.
 *
 * @param root `/`, or where the host's file system is mounted
 */
export async function writeHostFile(root: string, file: HostFile): Promise<HostFileOutcome> {
  const path = join(root, file.path);
  try {
    const found = await readIfThere(path);
    if (found === file.text) return { kind: "unchanged", path };
    if (found !== undefined && !isOurHostFile(found)) return { kind: "foreign", path };
    await mkdir(dirname(path), { recursive: true });
    const temporary = `${path}.slipway-${process.pid}`;
    await writeFile(temporary, file.text, { mode: 0o644 });
    await rename(temporary, path);
    return { kind: "written", path };
  } catch (error) {
    if (errorCode(error) === "") throw error;
    return { kind: "refused", path, code: errorCode(error) };
  }
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (errorCode(error) === "ENOENT") return undefined;
    throw error;
  }
}
