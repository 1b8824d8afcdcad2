import { readFile } from "node:fs/promises";
import { isAbsolute, join, normalize } from "node:path";
import { parseDockerConfig } from "./dockerconfig.ts";
import { decodeText, toReading } from "./secret-source.ts";
import { type CredentialSource, type SourceReading, sourceId } from "./source.ts";

/** kubelet swaps the files of a projected volume about once a minute at most; reading one costs next to nothing. */
const refreshMs = 5_000;
const limitBytes = 1_048_576;

/**
 * A docker config in a file that something else keeps fresh, e.g. a Secret or a CSI volume projected into serve's pod.
 * It is read anew every few seconds: the files of a projected volume are symbolic links that are swapped, so that
 * watching one of them misses its changes.
 *
 * @param needs.folder the only folder from which files are read
 * @param needs.path relative to it
 */
export function createFileSource(needs: { readonly folder: string; readonly path: string }): CredentialSource {
  const { folder, path } = needs;
  return {
    id: sourceId({ file: { path } }) ?? "",
    refreshMs,
    async read(signal): Promise<SourceReading> {
      const relative = normalize(path);
      if (isAbsolute(relative) || relative.split("/").includes("..")) {
        return { kind: "failed", reason: "SourceInvalid", message: `file ${path}: the path leaves its folder` };
      }
      try {
        const content = await readFile(join(folder, relative), { signal });
        if (content.byteLength > limitBytes) {
          return { kind: "failed", reason: "FileUnreadable", message: `file ${path}: is larger than 1 MiB` };
        }
        return readContent(content, path);
      } catch (error) {
        signal.throwIfAborted();
        return describeFailure(error, path);
      }
    },
  };
}

function readContent(content: Buffer, path: string): SourceReading {
  const text = decodeText(content);
  if (text === undefined) {
    return { kind: "failed", reason: "ContentUnreadable", message: `file ${path}: is not UTF-8 text` };
  }
  if (text.trim() === "") return { kind: "failed", reason: "SourceEmpty", message: `file ${path}: is empty` };
  return toReading(parseDockerConfig(text, "dockerconfigjson"), `file ${path}`);
}

function describeFailure(error: unknown, path: string): SourceReading {
  const code = (error as { code?: unknown }).code;
  return code === "ENOENT" || code === "ENOTDIR"
    ? { kind: "failed", reason: "FileMissing", message: `file ${path}: does not exist` }
    : { kind: "failed", reason: "FileUnreadable", message: `file ${path}: cannot be read (${String(code)})` };
}
