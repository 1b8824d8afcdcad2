import { createInterface } from "node:readline";
import type { AdmissionEnvironment } from "../../integration/admission/environment.ts";

export type SecretWatch = {
  /** When the pull Secret of a namespace was seen first, in performance.now(); asked for before it can be there. */
  arrival(namespace: string): Promise<number>;
  close(): void;
};

/** Watches the pull Secrets of all namespaces. */
export async function watchSecrets({ transport, signal }: AdmissionEnvironment): Promise<SecretWatch> {
  const query = { watch: "1", fieldSelector: "metadata.name=slipway-pull" };
  const ended = new AbortController();
  const answer = await transport.stream({
    method: "GET",
    path: "/api/v1/secrets",
    query,
    signal: AbortSignal.any([signal, ended.signal]),
  });
  const waiting = new Map<string, (seenAt: number) => void>();
  const lines = createInterface({ input: answer });
  lines.on("error", () => {}); // of the connection that we close
  lines.on("line", (line) => {
    const seenAt = performance.now();
    const { object } = JSON.parse(line) as { object: { metadata: { namespace: string } } };
    waiting.get(object.metadata.namespace)?.(seenAt);
  });
  return {
    arrival: (namespace) => new Promise((resolve) => waiting.set(namespace, resolve)),
    close: () => ended.abort(),
  };
}
