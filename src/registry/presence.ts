import type { Catalogue } from "./catalogue.ts";
import { mayPull } from "./rights.ts";

/** The question that admission asks, for the pods of one namespace; see AdmissionWorld.present. */
export type Presence = (repository: string, tag: string | undefined, digest: string | undefined) => boolean | undefined;

/**
 * "Present" as design section 5 means it: this namespace's login may pull it, and the catalogue knows it. What the
 * login may not pull is absent and is not looked up; what is only unknown is noted for a look-up in the background.
 *
 * @param needs.sharedRepositories null: one login for every namespace (an external registry without our gateway),
 *   for which rights are not known and isolation is not claimed
 */
export function createPresence(needs: {
  readonly catalogue: Catalogue;
  readonly sharedRepositories: () => readonly string[] | null;
}): (namespace: string) => Presence {
  const { catalogue, sharedRepositories } = needs;
  return (namespace) => (repository, tag, digest) => {
    const shared = sharedRepositories();
    if (shared !== null && !mayPull(namespace, repository, shared)) return false;
    const present = catalogue.has(repository, tag, digest);
    if (present === false) catalogue.missed(repository, digest ?? tag ?? "latest");
    return present;
  };
}
