import type { FileHandle } from "node:fs/promises";
import { posix } from "node:path";
import { SlipwayError } from "../../errors.ts";

/** Where the content of one file lies in the tar. */
export type TarEntry = { readonly offset: number; readonly size: number };

const blockBytes = 512;
/** Extended headers hold names and attributes; nobody needs more. */
const extendedLimitBytes = 1024 * 1024;

type Header = { readonly name: string; readonly size: number; readonly type: string; readonly link: string };
/** What pax and GNU headers say about the entry that follows. */
type Overrides = { name?: string; size?: number; link?: string };

/**
 * Lists the files of an uncompressed tar without reading their content: only headers are read, so that a layer of any
 * size costs nothing until it is pushed. Knows ustar, pax and GNU long names; links are followed to their file.
 *
 * @throws SlipwayError ARCHIVE_INVALID for a broken header or an archive that ends too early
 * @see https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html (ustar and pax interchange formats)
 */
export async function readTarIndex(file: FileHandle, path: string): Promise<ReadonlyMap<string, TarEntry>> {
  const entries = new Map<string, TarEntry>();
  const links = new Map<string, string>();
  for await (const member of readMembers(file, path)) {
    const name = cleanName(member.name);
    if (isRegular(member.type)) entries.set(name, { offset: member.offset, size: member.size });
    else if (member.type === "1") links.set(name, cleanName(member.link));
    else if (member.type === "2") links.set(name, posix.normalize(posix.join(posix.dirname(name), member.link)));
  }
  resolveLinks(entries, links);
  return entries;
}

type Member = Header & { readonly offset: number };

/** The members of the archive; what extended headers say about them is applied. */
async function* readMembers(file: FileHandle, path: string): AsyncGenerator<Member> {
  const { size: fileSize } = await file.stat();
  if (fileSize < blockBytes) throw invalid(path, "it is no tar");
  let overrides: Overrides = {};
  let at = 0;
  while (at + blockBytes <= fileSize) {
    const header = parseHeader(await readAt(file, at, blockBytes), path, at);
    if (header === undefined) return;
    const offset = at + blockBytes;
    const isExtended = "xLKg".includes(header.type);
    const member = isExtended ? { ...header, offset } : { ...header, ...overrides, offset };
    if (offset + member.size > fileSize) throw invalid(path, `it ends in the middle of ${member.name}; copy it again`);
    at = offset + Math.ceil(member.size / blockBytes) * blockBytes;
    if (isExtended) overrides = { ...overrides, ...(await readExtended(file, member, path)) };
    else {
      overrides = {};
      yield member;
    }
  }
  // Blocks of zeros end an archive; some writers leave them out, but none ends inside a block.
  if (at !== fileSize) throw invalid(path, "it ends in the middle of a block; copy it again");
}

/** "7" is a contiguous file, and NUL what came before ustar. */
function isRegular(type: string): boolean {
  return type === "0" || type === "\0" || type === "7";
}

function parseHeader(block: Buffer, path: string, offset: number): Header | undefined {
  if (block.every((byte) => byte === 0)) return undefined;
  const expected = Number.parseInt(textAt(block, 148, 8), 8);
  let sum = 0;
  for (let index = 0; index < blockBytes; index++) sum += index >= 148 && index < 156 ? 32 : (block[index] ?? 0);
  if (sum !== expected) throw invalid(path, `there is no tar header at byte ${offset}`);
  const prefix = textAt(block, 257, 6) === "ustar" ? textAt(block, 345, 155) : "";
  const name = textAt(block, 0, 100);
  return {
    name: prefix === "" ? name : `${prefix}/${name}`,
    size: numberAt(block, 124, 12),
    type: String.fromCharCode(block[156] ?? 0),
    link: textAt(block, 157, 100),
  };
}

function textAt(block: Buffer, start: number, length: number): string {
  const field = block.subarray(start, start + length);
  const end = field.indexOf(0);
  return field.subarray(0, end < 0 ? length : end).toString("utf8");
}

/** Octal, or base 256 when the first bit is set (GNU, for files above 8 GiB). */
function numberAt(block: Buffer, start: number, length: number): number {
  const first = block[start] ?? 0;
  if ((first & 0x80) === 0) return Number.parseInt(textAt(block, start, length).trim() || "0", 8);
  let value = first & 0x7f;
  for (let index = start + 1; index < start + length; index++) value = value * 256 + (block[index] ?? 0);
  return value;
}

async function readExtended(file: FileHandle, member: Member, path: string): Promise<Overrides> {
  if (member.size > extendedLimitBytes) throw invalid(path, "a header in it is too long");
  const content = await readAt(file, member.offset, member.size);
  if (member.type === "L") return { name: textAt(content, 0, content.length) };
  if (member.type === "K") return { link: textAt(content, 0, content.length) };
  // A global header ("g") carries nothing about a single file.
  return member.type === "g" ? {} : paxOverrides(content);
}

function paxOverrides(content: Buffer): Overrides {
  const found: Overrides = {};
  for (const [key, value] of paxRecords(content)) {
    if (key === "path") found.name = value;
    else if (key === "linkpath") found.link = value;
    else if (key === "size") found.size = Number(value);
  }
  return found;
}

/** Records of the form `<length> <key>=<value>\n`; the length counts bytes, itself included. */
function* paxRecords(content: Buffer): Generator<readonly [string, string]> {
  for (let at = 0; at < content.length; ) {
    const space = content.indexOf(0x20, at);
    const length = Number(content.subarray(at, space).toString("latin1"));
    if (space < 0 || !Number.isInteger(length) || length <= 0) return;
    const record = content.subarray(space + 1, at + length - 1).toString("utf8");
    const equals = record.indexOf("=");
    if (equals > 0) yield [record.slice(0, equals), record.slice(equals + 1)];
    at += length;
  }
}

function resolveLinks(entries: Map<string, TarEntry>, links: ReadonlyMap<string, string>): void {
  for (const name of links.keys()) {
    let target: string | undefined = name;
    for (let steps = 0; steps < 8 && target !== undefined && !entries.has(target); steps++) target = links.get(target);
    const entry = target === undefined ? undefined : entries.get(target);
    if (entry !== undefined) entries.set(name, entry);
  }
}

function cleanName(name: string): string {
  return posix.normalize(name).replace(/^(?:\.?\/)+/, "");
}

async function readAt(file: FileHandle, offset: number, length: number): Promise<Buffer> {
  const buffer = Buffer.alloc(length);
  for (let filled = 0; filled < length; ) {
    const { bytesRead } = await file.read(buffer, filled, length - filled, offset + filled);
    if (bytesRead === 0) return buffer.subarray(0, filled);
    filled += bytesRead;
  }
  return buffer;
}

function invalid(path: string, what: string): SlipwayError {
  return new SlipwayError("ARCHIVE_INVALID", `${path}: ${what}`);
}
