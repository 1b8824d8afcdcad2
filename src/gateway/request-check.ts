import type { IncomingHttpHeaders } from "node:http";
import type { RegistryFault } from "./refusal.ts";
import { isRepositoryName, isTag, type RegistryRoute } from "./repository-path.ts";

/**
 * What is wrong with the query or the headers of a request that its caller may make. Distribution answers 500 to such
 * values, or looks for files by them.
 */
export function checkRequest(
  route: RegistryRoute,
  query: URLSearchParams,
  headers: IncomingHttpHeaders,
): RegistryFault | undefined {
  const last = query.get("last") ?? "";
  if (route.kind === "tags" && last !== "" && !isTag(last)) {
    return { status: 400, error: { code: "TAG_INVALID", message: "last has to be a tag" } };
  }
  if (route.kind === "catalog" && last !== "" && !isRepositoryName(last)) {
    return { status: 400, error: { code: "NAME_INVALID", message: "last has to be the name of a repository" } };
  }
  if (route.kind === "upload" && !isChunkRange(headers["content-range"])) {
    return { status: 416, error: { code: "RANGE_INVALID", message: "Content-Range has to be <start>-<end>" } };
  }
  return undefined;
}

/** @see https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pushing-a-blob-in-chunks */
function isChunkRange(range: string | undefined): boolean {
  return range === undefined || /^\d{1,15}-\d{1,15}$/.test(range);
}
