import { createReadStream, createWriteStream } from "node:fs";
import { type FileHandle, mkdtemp, open, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable, type Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip, createZstdDecompress } from "node:zlib";
import { SlipwayError } from "../../errors.ts";
import { type Content, smallFileLimitBytes } from "./content.ts";
import { readTarIndex, type TarEntry } from "./tar.ts";

/**
 * Opens a folder, or a tar (plain, gzip, zstd). A compressed one is unpacked to a temporary file first, since a push
 * that breaks has to read a layer again from the middle.
 *
 * @throws SlipwayError ARCHIVE_INVALID
 */
export async function openContent(path: string): Promise<Content> {
  const found = await stat(path).catch((error: Error) => {
    throw new SlipwayError("ARCHIVE_INVALID", `${path}: ${error.message}`, { cause: error });
  });
  return found.isDirectory() ? openFolder(path) : openTar(path);
}

/** Takes a stream with a tar into a temporary file, which goes when the content is closed. */
export async function spoolContent(source: Readable, path: string): Promise<Content> {
  const folder = await mkdtemp(join(tmpdir(), "slipway-image-"));
  const removeFolder = () => rm(folder, { recursive: true, force: true });
  try {
    const file = join(folder, "image.tar");
    await pipeline(source, createWriteStream(file, { mode: 0o600 }));
    const content = await openTar(file, path);
    return {
      ...content,
      async close() {
        await content.close();
        await removeFolder();
      },
    };
  } catch (error) {
    await removeFolder();
    throw error;
  }
}

async function openTar(file: string, path: string = file): Promise<Content> {
  const handle = await open(file, "r");
  try {
    const unpack = decompressor(await firstBytes(handle));
    if (unpack !== undefined) return await unpackInto(file, unpack, path);
    const entries = await readTarIndex(handle, path);
    return contentOf({
      path,
      entries,
      openAt: (entry, start, end) =>
        createReadStream(file, { start: entry.offset + start, end: entry.offset + end - 1 }),
      close: async () => undefined,
    });
  } finally {
    await handle.close();
  }
}

async function unpackInto(file: string, unpack: Transform, path: string): Promise<Content> {
  const source = createReadStream(file);
  source.once("error", (error) => unpack.destroy(error));
  try {
    return await spoolContent(source.pipe(unpack), path);
  } catch (error) {
    const code = String((error as { code?: unknown }).code ?? "");
    if (!code.startsWith("Z_") && !code.startsWith("ZSTD_")) throw error;
    throw new SlipwayError("ARCHIVE_INVALID", `${path}: it does not unpack (${code})`, { cause: error });
  } finally {
    source.destroy();
  }
}

async function firstBytes(handle: FileHandle): Promise<Buffer> {
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(4), 0, 4, 0);
  return buffer.subarray(0, bytesRead);
}

function decompressor(start: Buffer): Transform | undefined {
  if (start.subarray(0, 2).equals(Buffer.from([0x1f, 0x8b]))) return createGunzip();
  if (start.equals(Buffer.from([0x28, 0xb5, 0x2f, 0xfd]))) return createZstdDecompress();
  return undefined;
}

async function openFolder(path: string): Promise<Content> {
  const entries = new Map<string, TarEntry>();
  for (const found of await readdir(path, { recursive: true, withFileTypes: true })) {
    if (!found.isFile()) continue;
    const full = join(found.parentPath, found.name);
    const name = full.slice(join(path, "/").length).replaceAll("\\", "/");
    entries.set(name, { offset: 0, size: (await stat(full)).size });
  }
  return contentOf({
    path,
    entries,
    openAt: (_entry, start, end, name) => createReadStream(join(path, name), { start, end: end - 1 }),
    close: async () => undefined,
  });
}

function contentOf(source: {
  readonly path: string;
  readonly entries: ReadonlyMap<string, TarEntry>;
  readonly openAt: (entry: TarEntry, start: number, end: number, name: string) => Readable;
  readonly close: () => Promise<void>;
}): Content {
  const find = (name: string): TarEntry => {
    const entry = source.entries.get(name);
    if (entry === undefined) throw new SlipwayError("ARCHIVE_INVALID", `${source.path}: ${name} is missing`);
    return entry;
  };
  const openRange = (name: string, start: number, end: number): Readable =>
    start >= end ? Readable.from([]) : source.openAt(find(name), start, end, name);
  return {
    path: source.path,
    sizeOf: (name) => source.entries.get(name)?.size,
    open: openRange,
    async read(name) {
      const { size } = find(name);
      if (size > smallFileLimitBytes) throw new SlipwayError("ARCHIVE_INVALID", `${source.path}: ${name} is too long`);
      const chunks: Buffer[] = [];
      for await (const chunk of openRange(name, 0, size) as AsyncIterable<Buffer>) chunks.push(chunk);
      return Buffer.concat(chunks);
    },
    close: source.close,
  };
}
