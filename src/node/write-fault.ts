import { errorCode } from "./disk.ts";
import type { Failure } from "./strategy.ts";

/** What a failed write on the node means, and what to do. */
export function describeWriteFault(error: unknown, path: string): Failure {
  const code = errorCode(error);
  const detail = code === "" ? (error instanceof Error ? error.message : "unknown error") : code;
  switch (code) {
    case "EROFS":
    case "EACCES":
    case "EPERM":
      return {
        reason: "ReadOnly",
        message: `${path} cannot be written (${code}); use LoopbackProxy where the node's files are fixed`,
      };
    case "ENOENT":
    case "ENOTDIR":
      return { reason: "DirectoryMissing", message: `${path} is not there (${code}); use the overlay for this layout` };
    case "ENOSPC":
    case "EDQUOT":
      return { reason: "DiskFull", message: `${path} cannot be written: the disk is full (${code})` };
    default:
      return { reason: "WriteFailed", message: `${path} cannot be written (${detail})` };
  }
}
