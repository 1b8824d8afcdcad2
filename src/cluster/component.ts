/**
 * Anything that runs until told to stop: reflectors, queues, servers, leases. Constructing one does nothing;
 * `run` resolves after everything that it started has ended, and rejects only for a fault that ends the process.
 */
export type Component = {
  readonly name: string;
  run(stop: AbortSignal): Promise<void>;
};
