import { createHash } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { chmod, mkdir, readdir, rename } from "node:fs/promises";
import { basename, join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { ReadableStream } from "node:stream/web";
import { SlipwayError } from "../errors.ts";
import type { ProgramArchive } from "./program-source.ts";
import { runToEnd } from "./run-to-end.ts";

export type DownloadOutcome = { readonly kind: "done" } | { readonly kind: "unreachable"; readonly reason: string };

/** How long the server may take to begin its answer; the transfer itself is not limited. */
const answerTimeoutMs = 15_000;

/**
 * Downloads a release archive, compares its checksum and puts the named programs into `folder`, executable. Nothing is
 * unpacked before the checksum is right.
 *
 * @param scratch an empty folder on the same file system as `folder`; the caller removes it
 * @throws SlipwayError DOWNLOAD_INVALID when the checksum differs or a program is not in the archive
 */
export async function downloadPrograms(request: {
  readonly archive: ProgramArchive;
  readonly programs: readonly string[];
  readonly folder: string;
  readonly scratch: string;
}): Promise<DownloadOutcome> {
  const { archive, programs, folder, scratch } = request;
  const file = join(scratch, "archive.tar.gz");
  const unreachable = await fetchToFile(archive.url, file);
  if (unreachable !== undefined) return { kind: "unreachable", reason: unreachable };
  await checkSum(file, archive);
  const unpacked = join(scratch, "unpacked");
  await mkdir(unpacked);
  await runToEnd({ command: "tar", args: ["-xzf", file, "-C", unpacked] });
  await mkdir(folder, { recursive: true });
  for (const program of programs) await takeProgram(unpacked, program, { folder, url: archive.url });
  return { kind: "done" };
}

/** @returns why it could not be fetched, or undefined */
async function fetchToFile(url: string, file: string): Promise<string | undefined> {
  const waiting = new AbortController();
  const timer = setTimeout(() => waiting.abort(new Error(`no answer within ${answerTimeoutMs} ms`)), answerTimeoutMs);
  try {
    const response = await fetch(url, { signal: waiting.signal });
    clearTimeout(timer);
    if (!response.ok || response.body === null) return `HTTP ${response.status}`;
    await pipeline(Readable.fromWeb(response.body as ReadableStream), createWriteStream(file));
    return undefined;
  } catch (error) {
    return innermostMessage(error);
  } finally {
    clearTimeout(timer);
  }
}

async function checkSum(file: string, archive: ProgramArchive): Promise<void> {
  const hash = createHash(archive.algorithm);
  await pipeline(createReadStream(file), hash);
  const found = hash.digest("hex");
  if (found !== archive.checksum) {
    throw new SlipwayError(
      "DOWNLOAD_INVALID",
      `${archive.url}: ${archive.algorithm} is ${found}, expected ${archive.checksum}; nothing was unpacked`,
    );
  }
}

async function takeProgram(
  unpacked: string,
  program: string,
  into: { readonly folder: string; readonly url: string },
): Promise<void> {
  const entries = await readdir(unpacked, { recursive: true });
  const found = entries.find((entry) => basename(entry) === program);
  if (found === undefined) throw new SlipwayError("DOWNLOAD_INVALID", `${into.url}: holds no program ${program}`);
  await chmod(join(unpacked, found), 0o755);
  await rename(join(unpacked, found), join(into.folder, program));
}

/** fetch hides the cause ("fetch failed") one level down. */
function innermostMessage(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? innermostMessage(error.cause) : error.message;
}
