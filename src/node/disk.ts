import { lstat, mkdir, open, readdir, readFile, rename, rm, rmdir } from "node:fs/promises";

export type EntryKind = "file" | "folder" | "other";

/** The few operations on a node's file system, handed in so that tests can fail each one. */
export type Disk = {
  /** undefined when there is nothing; links are not followed. */
  kind(path: string): Promise<EntryKind | undefined>;
  /** undefined when there is no such file. */
  read(path: string): Promise<string | undefined>;
  /** Names in a folder, sorted; undefined when there is no such folder. */
  list(path: string): Promise<readonly string[] | undefined>;
  /** One folder, mode 0755, below one that exists. */
  makeFolder(path: string): Promise<void>;
  /** Writes a whole file, mode 0644, and returns when the disk has it. */
  write(path: string, text: string): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  /** Makes the names in a folder durable. */
  syncFolder(path: string): Promise<void>;
  removeFile(path: string): Promise<void>;
  /** Only when it is empty. */
  removeFolder(path: string): Promise<void>;
};

/** The real one. */
export const nodeDisk: Disk = {
  kind: (path) => unlessAbsent(kindOf(path)),
  read: (path) => unlessAbsent(readFile(path, "utf8")),
  list: async (path) => (await unlessAbsent(readdir(path)))?.toSorted(),
  makeFolder: async (path) => {
    await mkdir(path, { mode: 0o755 });
  },
  write: async (path, text) => {
    const file = await open(path, "w", 0o644);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
  },
  rename,
  syncFolder: async (path) => {
    const folder = await open(path, "r");
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  },
  removeFile: (path) => rm(path, { force: true }),
  removeFolder: rmdir,
};

async function kindOf(path: string): Promise<EntryKind> {
  const entry = await lstat(path);
  if (entry.isDirectory()) return "folder";
  return entry.isFile() ? "file" : "other";
}

async function unlessAbsent<T>(found: Promise<T>): Promise<T | undefined> {
  try {
    return await found;
  } catch (error) {
    if (errorCode(error) === "ENOENT" || errorCode(error) === "ENOTDIR") return undefined;
    throw error;
  }
}

/** The system's word for what went wrong (`EROFS`), or "" when there is none. */
export function errorCode(error: unknown): string {
  const code = typeof error === "object" && error !== null ? (error as { code?: unknown }).code : undefined;
  return typeof code === "string" ? code : "";
}
