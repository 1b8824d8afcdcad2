import type { Clock } from "../clock.ts";
import type { StreamEvent } from "./stream-protocol.ts";

/** One manifest that the registry holds, as a listing or a look-up found it. */
export type CatalogueEntry = {
  readonly repository: string;
  /** null when it was found by digest only. */
  readonly tag: string | null;
  readonly digest: string;
};

/** A manifest that the registry answered 404 for: `reference` is a tag or a digest. */
export type MissingManifest = { readonly repository: string; readonly reference: string };

export type CatalogueState =
  | { readonly kind: "never-read" }
  | { readonly kind: "live" }
  /** Monotonic milliseconds at which the last gateway was lost. */
  | { readonly kind: "lost"; readonly sinceMs: number };

/** A moment in the order of changes; what happened after it is newer than a listing that began at it. */
export type ListingMark = { readonly order: number };

/** What the registry holds, in memory: the only thing that admission asks. */
export type Catalogue = {
  /**
   * @param tag ignored when a digest is given: the runtime pulls by the digest alone
   * @returns undefined when that is not known: never read, or without a gateway for more than 30 s
   */
  has(repository: string, tag: string | undefined, digest: string | undefined): boolean | undefined;
  apply(event: StreamEvent): void;
  /** To be taken before a listing begins, and closed when it has ended. */
  openListing(): ListingMark;
  /** Adds and never removes; what the stream changed after `mark` stays as the stream said. */
  addListing(entries: readonly CatalogueEntry[], mark: ListingMark): void;
  closeListing(mark: ListingMark): void;
  /** After a 404 of exactly that manifest; ignored when the stream accepted it after `mark`. */
  remove(missing: MissingManifest, mark: ListingMark): void;
  /** Notes what admission missed, for one look-up in the background; at most `missedLimit`, the oldest go. */
  missed(repository: string, reference: string): void;
  onMissed(handler: () => void): void;
  /** The notes since the last call. */
  takeMissed(): readonly MissingManifest[];
  /** Every tag that is known, for a listing to check. */
  tagsOf(repository: string): readonly string[];
  digestsOf(repository: string): readonly string[];
  repositories(): readonly string[];
  /** A gateway answers, and the registry has been read once. */
  markLive(): void;
  markLost(): void;
  state(): CatalogueState;
  /** Repositories and tags known, for metrics. */
  size(): { readonly repositories: number; readonly tags: number };
};

/** How long the memory is trusted without a gateway: a restart of the registry. Section 5 of the design. */
export const lostGraceMs = 30_000;
const defaultMissedLimit = 1_000;

type Repository = { readonly tags: Map<string, TagState>; readonly digests: Map<string, number> };
type TagState = { readonly digest: string; readonly order: number };

export function createCatalogue(needs: { readonly clock: Clock; readonly missedLimit?: number }): Catalogue {
  const { clock, missedLimit = defaultMissedLimit } = needs;
  const repositories = new Map<string, Repository>();
  const missed = new Map<string, MissingManifest>();
  const missedHandlers: (() => void)[] = [];
  const listings = new Set<ListingMark>();
  /** What was deleted while a listing runs, which may have read it before. Emptied when no listing runs. */
  const deletions = new Map<string, number>();
  let order = 0;
  let state: CatalogueState = { kind: "never-read" };

  const known = (): boolean =>
    state.kind === "live" || (state.kind === "lost" && clock.monotonicMs() - state.sinceMs <= lostGraceMs);

  const open = (name: string): Repository => {
    const found = repositories.get(name);
    if (found !== undefined) return found;
    const created: Repository = { tags: new Map(), digests: new Map() };
    repositories.set(name, created);
    return created;
  };

  const noteDeletion = (repository: string, reference: string): void => {
    if (listings.size > 0) deletions.set(`${repository}\n${reference}`, order);
  };

  const isNewer = (changedAt: number | undefined, mark: ListingMark): boolean =>
    changedAt !== undefined && changedAt > mark.order;

  const dropTag = (name: string, tag: string): void => {
    repositories.get(name)?.tags.delete(tag);
    noteDeletion(name, tag);
    forgetIfEmpty(name);
  };

  const dropDigest = (name: string, digest: string): void => {
    const repository = repositories.get(name);
    repository?.digests.delete(digest);
    noteDeletion(name, digest);
    for (const [tag, held] of repository?.tags ?? []) {
      if (held.digest === digest) dropTag(name, tag);
    }
    forgetIfEmpty(name);
  };

  const forgetIfEmpty = (name: string): void => {
    const repository = repositories.get(name);
    if (repository !== undefined && repository.tags.size === 0 && repository.digests.size === 0) {
      repositories.delete(name);
    }
  };

  const addEntry = (entry: CatalogueEntry, mark: ListingMark): void => {
    if (isNewer(deletions.get(`${entry.repository}\n${entry.digest}`), mark)) return;
    const repository = open(entry.repository);
    if (!repository.digests.has(entry.digest)) repository.digests.set(entry.digest, mark.order);
    if (entry.tag === null || isNewer(repository.tags.get(entry.tag)?.order, mark)) return;
    if (isNewer(deletions.get(`${entry.repository}\n${entry.tag}`), mark)) return;
    repository.tags.set(entry.tag, { digest: entry.digest, order: mark.order });
  };

  return {
    has(name, tag, digest) {
      if (!known()) return undefined;
      const repository = repositories.get(name);
      if (digest !== undefined) return repository?.digests.has(digest) ?? false;
      return repository?.tags.has(tag ?? "latest") ?? false;
    },
    apply(event) {
      if (event.type === "pushed") {
        order++;
        const repository = open(event.repository);
        repository.digests.set(event.digest, order);
        if (event.tag !== null) repository.tags.set(event.tag, { digest: event.digest, order });
      } else if (event.type === "deleted") {
        order++;
        if (event.tag !== null) dropTag(event.repository, event.tag);
        else if (event.digest !== null) dropDigest(event.repository, event.digest);
      }
    },
    openListing() {
      const mark = { order };
      listings.add(mark);
      return mark;
    },
    addListing(entries, mark) {
      for (const entry of entries) addEntry(entry, mark);
    },
    closeListing(mark) {
      listings.delete(mark);
      if (listings.size === 0) deletions.clear();
    },
    remove({ repository: name, reference }, mark) {
      const repository = repositories.get(name);
      const isDigest = reference.includes(":");
      const changedAt = isDigest ? repository?.digests.get(reference) : repository?.tags.get(reference)?.order;
      if (isNewer(changedAt, mark)) return;
      if (isDigest) dropDigest(name, reference);
      else dropTag(name, reference);
    },
    missed(repository, reference) {
      missed.set(`${repository}\n${reference}`, { repository, reference });
      const oldest = missed.keys().next().value;
      if (missed.size > missedLimit && oldest !== undefined) missed.delete(oldest);
      for (const handler of missedHandlers) handler();
    },
    onMissed(handler) {
      missedHandlers.push(handler);
    },
    takeMissed() {
      const taken = [...missed.values()];
      missed.clear();
      return taken;
    },
    digestsOf: (name) => [...(repositories.get(name)?.digests.keys() ?? [])],
    tagsOf: (name) => [...(repositories.get(name)?.tags.keys() ?? [])],
    repositories: () => [...repositories.keys()],
    markLive() {
      state = { kind: "live" };
    },
    markLost() {
      if (state.kind === "live") state = { kind: "lost", sinceMs: clock.monotonicMs() };
    },
    state: () => state,
    size() {
      let tags = 0;
      for (const repository of repositories.values()) tags += repository.tags.size;
      return { repositories: repositories.size, tags };
    },
  };
}
