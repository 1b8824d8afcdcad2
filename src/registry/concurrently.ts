/**
 * Works through `items`, several at once. The first failure stops the others, and all have ended when this settles.
 *
 * @throws whatever `work` threw first, or the signal's reason
 */
export async function forEachConcurrently<Item>(
  items: readonly Item[],
  options: { readonly concurrency: number; readonly signal: AbortSignal },
  work: (item: Item, stop: AbortSignal) => Promise<void>,
): Promise<void> {
  const { concurrency, signal } = options;
  const failure = new AbortController();
  const stop = AbortSignal.any([signal, failure.signal]);
  const rest = items[Symbol.iterator]();
  const workers = Array.from({ length: Math.min(concurrency, items.length) }, async () => {
    try {
      for (let next = rest.next(); next.done !== true && !stop.aborted; next = rest.next())
        await work(next.value, stop);
    } catch (error) {
      failure.abort(error);
    }
  });
  await Promise.all(workers);
  signal.throwIfAborted();
  if (failure.signal.aborted) throw failure.signal.reason;
}
