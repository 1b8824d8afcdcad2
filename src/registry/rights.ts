import { matchesGlob } from "../reference/glob.ts";

/**
 * Whether the pull login of `namespace` may pull `repository`: its own `<namespace>/**`, and what
 * `sharedRepositories` names. Mirrored hosts are closed unless shared, since a mirror must not make private images
 * public; their first segment holds `.` or `_`, so it never equals a namespace. Section 7 of the design.
 *
 * @param repository path in the local registry, without host, tag and digest
 * @param sharedRepositories globs of LocalRegistry `auth.sharedRepositories`
 */
export function mayPull(namespace: string, repository: string, sharedRepositories: readonly string[]): boolean {
  // A path of one segment belongs to `admin` alone, whatever is shared: the gateway says the same (gateway/access.ts).
  if (!repository.includes("/")) return false;
  if (namespace !== "" && repository.startsWith(`${namespace}/`)) return true;
  return sharedRepositories.some((pattern) => matchesGlob(pattern, repository));
}
