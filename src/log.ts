import { type DestinationStream, type Logger, pino } from "pino";

export type Log = Logger;

export type LogOptions = {
  readonly level: "trace" | "debug" | "info" | "warn" | "error" | "silent";
};

/**
 * JSON lines with the level as a word. Errors go under `err` and are reduced to what is known to be free of
 * secrets: name, code, reason, message of our own errors, stack of faults. Never log a pod, a review or a Secret.
 *
 * @param destination defaults to standard output
 */
export function createLog(options: LogOptions, destination?: DestinationStream): Log {
  const settings = {
    level: options.level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    serializers: { err: serializeError },
  };
  return destination === undefined ? pino(settings) : pino(settings, destination);
}

function serializeError(value: unknown): unknown {
  if (!(value instanceof Error)) return { type: typeof value };
  const { name, message, stack } = value;
  const fields = value as { code?: unknown; reason?: unknown; status?: unknown; cause?: unknown };
  return {
    name,
    message,
    ...(fields.code === undefined ? {} : { code: fields.code }),
    ...(fields.reason === undefined ? {} : { reason: fields.reason }),
    ...(fields.status === undefined ? {} : { status: fields.status }),
    ...(name === "SlipwayError" || fields.status !== undefined ? {} : { stack }),
    ...(fields.cause instanceof Error ? { cause: serializeError(fields.cause) } : {}),
  };
}
