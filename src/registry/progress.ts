import type { Writable } from "node:stream";
import type { Clock } from "../clock.ts";
import type { Blob } from "./blob.ts";
import type { PushProgress } from "./push.ts";

export type ProgressOutput = Writable & { readonly isTTY?: boolean };

const redrawMs = 100;
const barWidth = 30;

/** Progress on standard error: one bar that is redrawn on a terminal, else a line for each blob. */
export function createPushProgress(output: ProgressOutput, clock: Clock): PushProgress & { end(): void } {
  return output.isTTY === true ? createBar(output, clock) : createLines(output);
}

function createLines(output: ProgressOutput): PushProgress & { end(): void } {
  let total = 0;
  let count = 0;
  return {
    begin(blobs) {
      total = blobs.length;
      const bytes = blobs.reduce((sum, blob) => sum + blob.size, 0);
      output.write(`pushing ${total} blobs, ${formatBytes(bytes)}\n`);
    },
    sent: () => undefined,
    done(blob, outcome) {
      count++;
      const word = outcome === "exists" ? "is there already" : "pushed";
      output.write(`[${count}/${total}] ${shortDigest(blob)} ${formatBytes(blob.size)} ${word}\n`);
    },
    end: () => undefined,
  };
}

function createBar(output: ProgressOutput, clock: Clock): PushProgress & { end(): void } {
  const sentBytes = new Map<string, number>();
  let totalBytes = 0;
  let drawnAtMs = Number.NEGATIVE_INFINITY;
  let open = false;
  const draw = (force: boolean): void => {
    if (!force && clock.monotonicMs() - drawnAtMs < redrawMs) return;
    drawnAtMs = clock.monotonicMs();
    const sent = [...sentBytes.values()].reduce((sum, bytes) => sum + bytes, 0);
    const share = totalBytes === 0 ? 1 : Math.min(1, sent / totalBytes);
    const bar = "#".repeat(Math.round(share * barWidth)).padEnd(barWidth, ".");
    output.write(`\r\x1b[K[${bar}] ${formatBytes(sent)} of ${formatBytes(totalBytes)}`);
    open = true;
  };
  return {
    begin(blobs) {
      sentBytes.clear();
      totalBytes = blobs.reduce((sum, blob) => sum + blob.size, 0);
      draw(true);
    },
    sent(blob, bytes) {
      sentBytes.set(blob.digest, bytes);
      draw(false);
    },
    done(blob) {
      sentBytes.set(blob.digest, blob.size);
      draw(true);
    },
    end() {
      if (open) output.write("\n");
      open = false;
    },
  };
}

function shortDigest(blob: Blob): string {
  return blob.digest.slice(0, "sha256:".length + 12);
}

/** e.g. `12.3 MiB`. */
export function formatBytes(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const power = bytes < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(bytes) / 10));
  const value = bytes / 1024 ** power;
  return `${power === 0 ? value : value.toFixed(1)} ${units[power]}`;
}
