/** How long the bodies may take that are not streamed on; in milliseconds, from the head of their request. */
export type BodyLimits = {
  /** The form of a login. */
  readonly loginMs: number;
  readonly manifestMs: number;
  /** What is left of a body after its answer, before the connection is cut; from the end of the answer. */
  readonly restMs: number;
};

/** A manifest is 4 MiB at most, and may come over a slow line. */
export const defaultBodyLimits: BodyLimits = { loginMs: 10_000, manifestMs: 120_000, restMs: 30_000 };
