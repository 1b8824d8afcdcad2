/**
 * Path and query of the next page by a `Link` header, which Distribution writes relative.
 *
 * @param current path and query of the page that carried it
 * @returns undefined when there is no further page
 * @see https://github.com/opencontainers/distribution-spec/blob/main/spec.md#listing-tags
 */
export function nextPage(link: string | undefined, origin: URL, current: string): string | undefined {
  const match = /<([^>]*)>\s*;[^,]*\brel\s*=\s*"?next"?/i.exec(link ?? "");
  if (match?.[1] === undefined) return undefined;
  const next = new URL(match[1], new URL(current, origin));
  return next.host === origin.host ? `${next.pathname}${next.search}` : undefined;
}
