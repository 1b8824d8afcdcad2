import type { Clock } from "../clock.ts";
import type { Component } from "../cluster/component.ts";
import type { LocalRegistrySpec, NodeAccessMode } from "../config/local-registry.ts";
import { nextAuto, planAccess } from "../node/access-plan.ts";
import { overdueNodes } from "../node/overdue.ts";
import type { NodesNow } from "../node/standing.ts";
import type { VerdictBook } from "../node/verdict-book.ts";

export type AccessChoice = Component & {
  /** Nodes, verdicts or LocalRegistry have changed: looks at once. */
  touch(): void;
};

const lookMs = 5_000;

/**
 * The leader's part of node access: lets Auto choose, remembers the choice and the nodes that are late where every
 * replica sees them, and drops the verdicts of nodes that are gone. Looks every five seconds as well, since time alone can decide.
 *
 * @param needs.onMode called after the mode in force changed
 */
export function createAccessChoice(needs: {
  readonly spec: () => LocalRegistrySpec | null;
  readonly world: () => NodesNow;
  readonly book: VerdictBook;
  readonly onMode: (mode: NodeAccessMode | null) => void;
  readonly clock: Clock;
}): AccessChoice {
  const { spec, world, book, clock } = needs;
  let wake = Promise.withResolvers<void>();

  function look(before: NodeAccessMode | null | undefined): NodeAccessMode | null {
    const now = world();
    book.rememberAuto(nextAuto(spec(), book.auto(), now));
    book.keepOnly(new Set(now.nodes.map((node) => node.name)));
    const { mode } = planAccess(spec(), book.auto());
    book.rememberOverdue(overdueNodes(mode, now));
    if (mode !== before) needs.onMode(mode);
    return mode;
  }

  async function wait(stop: AbortSignal): Promise<void> {
    wake = Promise.withResolvers();
    const over = new AbortController();
    const elapsed = clock.sleep(lookMs, AbortSignal.any([stop, over.signal])).catch((error: unknown) => {
      if (!stop.aborted && !over.signal.aborted) throw error;
    });
    await Promise.race([wake.promise, elapsed]);
    over.abort();
    await elapsed;
  }

  return {
    name: "access choice",
    touch: () => wake.resolve(),
    async run(stop) {
      let mode: NodeAccessMode | null | undefined;
      while (!stop.aborted) {
        mode = look(mode);
        await wait(stop);
      }
      await book.settled();
    },
  };
}
