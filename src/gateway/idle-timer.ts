/** Calls back when nothing has touched it for a while. */
export type IdleTimer = {
  touch(): void;
  restart(durationMs: number): void;
  stop(): void;
};

/** A plain timer of the event loop: `refresh` costs nothing per chunk, as a promise of the Clock would. */
export function createIdleTimer(durationMs: number, onIdle: () => void): IdleTimer {
  let timer: NodeJS.Timeout | undefined = setTimeout(onIdle, durationMs);
  return {
    // Refreshing a timer that was cleared would start it again.
    touch: () => void timer?.refresh(),
    restart(nextMs) {
      if (timer === undefined) return;
      clearTimeout(timer);
      timer = setTimeout(onIdle, nextMs);
    },
    stop() {
      clearTimeout(timer);
      timer = undefined;
    },
  };
}
