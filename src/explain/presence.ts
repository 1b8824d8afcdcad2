import type { Compiled } from "../config/compiled.ts";
import { mayPull } from "../registry/rights.ts";

export type PresenceQuestion = { readonly repository: string; readonly reference: string };

/** Asks the local registry; undefined: it could not be asked. */
export type AskRegistry = (question: PresenceQuestion) => Promise<boolean | undefined>;

export type PresenceAnswers = {
  /** As AdmissionWorld.present; a question that is new is noted for `resolve`. */
  readonly present: (repository: string, tag: string | undefined, digest: string | undefined) => boolean | undefined;
  /** Asks what was noted. @returns whether there is an answer that was not there before */
  resolve(ask: AskRegistry): Promise<boolean>;
};

/**
 * Presence as admission means it: what the namespace's login may not pull is absent. Admission answers from memory;
 * here the questions are noted in a first pass, asked, and answered in a second one.
 */
export function createPresenceAnswers(compiled: Compiled, namespace: string): PresenceAnswers {
  const answers = new Map<string, boolean | undefined>();
  const open = new Map<string, PresenceQuestion>();
  const { registry } = compiled;
  const shared = registry === null || registry.login.kind === "fixed" ? null : registry.sharedRepositories;
  return {
    present(repository, tag, digest) {
      if (shared !== null && !mayPull(namespace, repository, shared)) return false;
      const reference = digest ?? tag ?? "latest";
      const key = `${repository}\n${reference}`;
      if (!answers.has(key)) open.set(key, { repository, reference });
      return answers.get(key);
    },
    async resolve(ask) {
      let isNew = false;
      for (const [key, question] of open) {
        const answer = await ask(question);
        answers.set(key, answer);
        isNew ||= answer !== undefined;
      }
      open.clear();
      return isNew;
    },
  };
}
