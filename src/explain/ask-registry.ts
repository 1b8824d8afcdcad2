import type { Clock, Random } from "../clock.ts";
import { ApiError, type ClusterApi } from "../cluster/api.ts";
import type { PortForward } from "../cluster/port-forward.ts";
import type { Compiled } from "../config/compiled.ts";
import { deriveLogin, type Login } from "../credential/login.ts";
import { SlipwayError } from "../errors.ts";
import type { ObservedNamespace } from "../namespace/observed.ts";
import { type Reached, reachRegistry } from "../registry/reach.ts";
import { RegistryError } from "../registry/registry-error.ts";
import type { AskRegistry } from "./presence.ts";

export type RegistryQuestions = { readonly ask: AskRegistry; close(): void };

/**
 * Asks the local registry with the login of one namespace, so that the answer is that namespace's. The way to it is
 * looked for at the first question. What keeps it from answering becomes one note.
 */
export function createRegistryQuestions(needs: {
  readonly compiled: Compiled;
  readonly namespace: ObservedNamespace;
  readonly cluster: { readonly api: ClusterApi; readonly portForward: () => PortForward };
  readonly clock: Clock;
  readonly random: Random;
  readonly signal: AbortSignal;
  readonly note: (text: string) => void;
}): RegistryQuestions {
  const { signal, note } = needs;
  let reaching: Promise<Reached | undefined> | undefined;
  let reached: Reached | undefined;

  async function reach(): Promise<Reached | undefined> {
    const login = loginOf(needs.compiled, needs.namespace);
    if (login === undefined) return undefined;
    try {
      const { cluster, clock, random } = needs;
      reached = await reachRegistry({ options: { login }, cluster, patienceMs: 0, clock, random }, signal);
      return reached;
    } catch (error) {
      if (!(error instanceof SlipwayError || error instanceof ApiError)) throw error;
      note(`the local registry was not asked what it holds: ${error.message}`);
      return undefined;
    }
  }

  return {
    async ask({ repository, reference }) {
      reaching ??= reach();
      const client = (await reaching)?.client;
      if (client === undefined) return undefined;
      try {
        return (await client.headManifest(repository, reference, signal)) !== undefined;
      } catch (error) {
        if (!(error instanceof RegistryError)) throw error;
        if (error.status === 401 || error.status === 403) return false;
        note(`the local registry did not tell about ${repository}: ${error.message}`);
        return undefined;
      }
    },
    close: () => reached?.client.close(),
  };
}

function loginOf({ registry }: Compiled, { name, uid }: ObservedNamespace): Login | undefined {
  if (registry === null) return undefined;
  if (registry.login.kind === "fixed") return registry.login;
  return uid === "" ? undefined : deriveLogin(registry.login.key, { purpose: "pull", namespace: name, uid });
}
