import type { Clock } from "../clock.ts";
import { DeadlineError } from "./deadline.ts";

/** What can end one request: its caller, its deadline, the end of the transport. */
export type RequestScope = {
  readonly signal: AbortSignal;
  /** From now on the request has the time of one attempt; after it the signal aborts with a DeadlineError. */
  startAttempt(): void;
  /** Takes the deadline away, for a pause or a stream. */
  endAttempt(): void;
  /** Lets go of the caller's signal. */
  end(): void;
};

export type RequestScopes = {
  open(caller: AbortSignal): RequestScope;
  /** Aborts all that are open. Resolves when each has ended. */
  close(reason: Error): Promise<void>;
};

/**
 * One timer serves all requests: with thousands of them a second, a timer and a handful of abort signals for each
 * would cost as much as the request itself (docs/adr/0002). All attempts have the same time, so the one that began
 * first is the first to be over.
 */
export function createRequestScopes(clock: Clock, attemptTimeoutMs: number): RequestScopes {
  const open = new Set<AbortController>();
  const dueAtMs = new Map<AbortController, number>();
  const closing = new AbortController();
  const drained = Promise.withResolvers<void>();
  let isKeepingTime = false;

  const keepTime = async (): Promise<void> => {
    for (let first = dueAtMs.entries().next(); first.done !== true; first = dueAtMs.entries().next()) {
      const [controller, atMs] = first.value;
      const waitMs = atMs - clock.monotonicMs();
      if (waitMs > 0) await clock.sleep(waitMs, closing.signal);
      else {
        dueAtMs.delete(controller);
        controller.abort(new DeadlineError(attemptTimeoutMs));
      }
    }
  };
  const startKeepingTime = (): void => {
    if (isKeepingTime || closing.signal.aborted) return;
    isKeepingTime = true;
    const stopped = () => {
      isKeepingTime = false;
    };
    keepTime().then(stopped, stopped); // It fails only by the abort of `close`.
  };

  return {
    open(caller) {
      const controller = new AbortController();
      const onCaller = () => controller.abort(caller.reason);
      const end = () => {
        caller.removeEventListener("abort", onCaller);
        dueAtMs.delete(controller);
        open.delete(controller);
        if (closing.signal.aborted && open.size === 0) drained.resolve();
      };
      if (closing.signal.aborted) controller.abort(closing.signal.reason);
      else if (caller.aborted) onCaller();
      else caller.addEventListener("abort", onCaller, { once: true });
      open.add(controller);
      return {
        signal: controller.signal,
        startAttempt() {
          dueAtMs.delete(controller);
          dueAtMs.set(controller, clock.monotonicMs() + attemptTimeoutMs);
          startKeepingTime();
        },
        endAttempt: () => void dueAtMs.delete(controller),
        end,
      };
    },
    async close(reason) {
      closing.abort(reason);
      if (open.size === 0) drained.resolve();
      for (const controller of open) controller.abort(reason);
      await drained.promise;
    },
  };
}
