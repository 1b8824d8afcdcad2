import type { Writable } from "node:stream";
import type { KeyRotation } from "../registry/key-rotation.ts";

export type RotationProgress = {
  /** What is known now; the same as before says nothing anew. */
  show(rotation: KeyRotation): void;
  end(): void;
};

const barWidth = 30;

/** Progress of a key rotation: one bar that is redrawn on a terminal, else a line at each change. */
export function createRotationProgress(output: Writable & { readonly isTTY?: boolean }): RotationProgress {
  const isTerminal = output.isTTY === true;
  let before = "";
  let open = false;
  return {
    show(rotation) {
      const text = isTerminal ? drawBar(rotation) : describe(rotation);
      if (text === before) return;
      before = text;
      output.write(isTerminal ? `\r\x1b[K${text}` : `${text}\n`);
      open = isTerminal;
    },
    end() {
      if (open) output.write("\n");
      open = false;
    },
  };
}

function drawBar(rotation: KeyRotation): string {
  const { synced, total } = rotation;
  const share = total === 0 ? Number(rotation.phase === "done") : synced / total;
  return `[${"#".repeat(Math.floor(share * barWidth)).padEnd(barWidth, ".")}] ${describe(rotation)}`;
}

function describe({ phase, generation, synced, total, failing }: KeyRotation): string {
  const count = `${synced} of ${total} namespaces`;
  const held =
    failing.length === 0
      ? ""
      : `; cannot be written: ${failing.map(({ name, reason }) => `${name} (${reason})`).join(", ")}`;
  switch (phase) {
    case "accepting":
      return `generation ${generation}: waiting until every gateway accepts it`;
    case "spreading":
      return `generation ${generation}: ${count}${held}`;
    case "settling":
      return `generation ${generation}: ${count}; the previous one is accepted a little longer`;
    case "done":
      return `generation ${generation}: ${count}; the previous one is refused`;
  }
}
