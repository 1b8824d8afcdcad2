import { get, type IncomingMessage } from "node:http";
import { SlipwayError } from "../errors.ts";

/** One page of repositories, and where the next begins; undefined: that was the last. */
export type CatalogPage = { readonly repositories: readonly string[]; readonly next: string | undefined };

/** The whole catalogue of Distribution, page by page. */
export type CatalogSource = { page(after: string, signal: AbortSignal): Promise<CatalogPage> };

export const defaultPageSize = 100;
export const maxPageSize = 1_000;

/**
 * Collects the next page of what may be seen, cut after filtering: as many as asked for, and a way on only when there
 * is one more. Pages of Distribution are read until then.
 */
export async function filterCatalog(
  source: CatalogSource,
  wanted: { readonly size: number; readonly after: string },
  mayList: (repository: string) => Promise<boolean>,
  signal: AbortSignal,
): Promise<CatalogPage> {
  const found: string[] = [];
  let after: string | undefined = wanted.after;
  while (after !== undefined) {
    const page: CatalogPage = await source.page(after, signal);
    for (const repository of page.repositories) {
      if (!(await mayList(repository))) continue;
      if (found.length === wanted.size) return { repositories: found, next: found.at(-1) };
      found.push(repository);
    }
    after = page.next;
  }
  return { repositories: found, next: undefined };
}

/**
 * Reads `n` and `last` of a listing.
 *
 * @returns undefined when `n` is no number from 0 to 1000, which Distribution answers with 400
 */
export function readPagination(query: URLSearchParams): { readonly size: number; readonly after: string } | undefined {
  const size = query.get("n") ?? String(defaultPageSize);
  if (!/^\d{1,4}$/.test(size) || Number(size) > maxPageSize) return undefined;
  return { size: Number(size), after: query.get("last") ?? "" };
}

/**
 * The catalogue of Distribution, read with a token of our own.
 *
 * @param needs.token a bearer token with `registry:catalog:*`
 * @throws SlipwayError REGISTRY_UNAVAILABLE when Distribution does not answer as expected
 */
export function createCatalogSource(needs: {
  readonly url: string;
  readonly token: () => Promise<string | undefined>;
}): CatalogSource {
  return {
    async page(after, signal) {
      const token = await needs.token();
      const url = new URL("/v2/_catalog", needs.url);
      url.searchParams.set("n", String(maxPageSize));
      if (after !== "") url.searchParams.set("last", after);
      const answer = await open(url, { authorization: `Bearer ${token ?? ""}` }, signal);
      const text = await readText(answer);
      // A registry without a single repository answers 404 on some object stores.
      if (answer.statusCode === 404) return { repositories: [], next: undefined };
      if (answer.statusCode !== 200) throw unavailable(`status ${answer.statusCode}`);
      return { repositories: readRepositories(text), next: readNext([answer.headers.link].flat()[0]) };
    },
  };
}

async function open(url: URL, headers: Record<string, string>, signal: AbortSignal): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  get(url, { headers, signal, agent: false }, resolve).once("error", reject);
  try {
    return await promise;
  } catch (error) {
    throw unavailable("no answer", error);
  }
}

async function readText(answer: IncomingMessage): Promise<string> {
  try {
    return Buffer.concat(await answer.toArray()).toString("utf8");
  } catch (error) {
    throw unavailable("the answer broke off", error);
  }
}

function readRepositories(text: string): readonly string[] {
  try {
    const { repositories } = JSON.parse(text) as { repositories?: unknown };
    if (repositories === null) return [];
    if (Array.isArray(repositories) && repositories.every((name) => typeof name === "string")) return repositories;
  } catch (error) {
    throw unavailable("the answer is no JSON", error);
  }
  throw unavailable("the answer holds no list of repositories");
}

/** `last` of a `Link: </v2/_catalog?last=…&n=…>; rel="next"`. */
function readNext(link: string | undefined): string | undefined {
  const [, target] = /<([^>]+)>;\s*rel="?next"?/.exec(link ?? "") ?? [];
  if (target === undefined) return undefined;
  return new URL(target, "http://distribution.invalid").searchParams.get("last") ?? undefined;
}

function unavailable(detail: string, cause?: unknown): SlipwayError {
  return new SlipwayError("REGISTRY_UNAVAILABLE", `GET /v2/_catalog: ${detail}`, { cause });
}
