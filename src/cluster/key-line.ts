/** Keys in the order in which they came, each once. */
export type KeyLine = {
  add(key: string): void;
  delete(key: string): void;
  has(key: string): boolean;
  /** Takes the first one out; undefined when there is none. */
  take(): string | undefined;
  readonly size: number;
  clear(): void;
};

/**
 * A Set alone would do, but a new iterator of it walks over all that was deleted at its front since it last shrank:
 * which a profile of thousands of keys shows. One iterator stays where it is.
 */
export function createKeyLine(): KeyLine {
  const keys = new Set<string>();
  let front = keys.values();
  return {
    add: (key) => void keys.add(key),
    delete: (key) => void keys.delete(key),
    has: (key) => keys.has(key),
    take() {
      let next = front.next();
      if (next.done === true) {
        // It has passed the end once, and says so for ever.
        front = keys.values();
        next = front.next();
      }
      if (next.done === true) return undefined;
      keys.delete(next.value);
      return next.value;
    },
    get size() {
      return keys.size;
    },
    clear: () => keys.clear(),
  };
}
