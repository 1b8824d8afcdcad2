/**
 * The catalogue's stream: `GET /slipway/catalogue` at a gateway pod, `Authorization: Bearer` with serve's own token
 * (audience `slipway-gateway`), answered with newline-delimited JSON that does not end. Both sides ignore fields and
 * types that they do not know, so that a version and the one before it can talk.
 */
export const catalogueStreamPath = "/slipway/catalogue";
export const streamProtocolVersion = 1;
/** A line at least this often; a reader that hears nothing for three times as long reconnects. */
export const streamHeartbeatMs = 5_000;

export type StreamEvent =
  | {
      readonly type: "hello";
      readonly protocol: number;
      /** Key generations that this gateway accepts; it may be handed out only when all gateways know it. */
      readonly generations: readonly number[];
      readonly readOnly: boolean;
      readonly bytesUsed?: number;
    }
  /** A manifest was accepted. `tag` is null for a push by digest. */
  | { readonly type: "pushed"; readonly repository: string; readonly tag: string | null; readonly digest: string }
  /** A manifest (by digest) or a tag was deleted. */
  | {
      readonly type: "deleted";
      readonly repository: string;
      readonly tag: string | null;
      readonly digest: string | null;
    }
  /** `bytesUsed`: what the registry's volume holds; absent while unknown, and where there is no volume. */
  | { readonly type: "heartbeat"; readonly generations: readonly number[]; readonly bytesUsed?: number };
