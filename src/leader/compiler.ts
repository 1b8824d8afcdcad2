import type { Registry } from "prom-client";
import { Gauge } from "prom-client";
import type { Clock, Random } from "../clock.ts";
import { absentVersion } from "../cluster/absent-version.ts";
import type { ClusterApi } from "../cluster/api.ts";
import type { Component } from "../cluster/component.ts";
import type { KubernetesObject } from "../cluster/object.ts";
import { createQueue } from "../cluster/queue.ts";
import { resources } from "../cluster/resource.ts";
import type { Compiled } from "../config/compiled.ts";
import { compiledSecret, readCompiled, sameContent } from "../config/compiled-secret.ts";
import type { Log } from "../log.ts";
import { type CompiledState, type CompileStateInput, compileState } from "./compile-state.ts";

/** What the compiler reads at each run; everything but what it wrote itself. */
export type CompilerInput = Omit<CompileStateInput, "previous">;

export type CompilerNeeds = {
  readonly read: () => CompilerInput;
  /** The compiled Secret as observed, and what it holds. */
  readonly observed: () => { readonly secret: KubernetesObject | undefined; readonly compiled: Compiled | undefined };
  /** The highest revision that any Secret in the cluster was written from; 0 when there is none. */
  readonly highestRevision: () => number;
  readonly api: ClusterApi;
  readonly namespace: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Registry;
};

export type Compiler = Component & {
  /** Something that the compiled state is made of has changed. */
  touch(): void;
  /** The findings of the last run; undefined before the first. */
  latest(): CompiledState | undefined;
  onCompiled(handler: () => void): void;
};

const key = "compiled";

/**
 * Keeps Secret `slipway-compiled` in step with the custom resources and their sources; runs on the leader only. The
 * revision counts up when, and only when, the content differs; the write carries the resourceVersion that it was
 * decided on, so that an overlapping leader gets a conflict and looks again.
 */
export function createCompiler(needs: CompilerNeeds): Compiler {
  const { api, namespace, log } = needs;
  const revisionGauge = new Gauge({
    name: "slipway_compiled_revision",
    help: "Revision of the compiled rules and credentials that this leader wrote last",
    registers: [needs.metrics],
  });
  const handlers: (() => void)[] = [];
  let latest: CompiledState | undefined;
  /** What was written last and may not have come back by the watch yet. */
  let written: { readonly compiled: Compiled; readonly resourceVersion: string | undefined } | undefined;

  const basis = () => {
    const { secret, compiled } = needs.observed();
    if (written !== undefined && written.compiled.revision > (compiled?.revision ?? 0)) {
      return { ...written, isStored: true };
    }
    // What is in memory outlives a Secret that was deleted or damaged, which then has to be written anew.
    const isStored = compiled !== undefined && readCompiled(secret)?.revision === compiled.revision;
    return { compiled, resourceVersion: secret?.metadata.resourceVersion, isStored };
  };

  async function compile(signal: AbortSignal): Promise<void> {
    const { compiled: previous, resourceVersion, isStored } = basis();
    const state = compileState({ ...needs.read(), previous });
    const changed = !isStored || !sameContent(previous, state.compiled);
    // Without a previous state it is the first start, or the Secret was lost: Secrets that were written before must not
    // be taken for newer than what is counted anew.
    const before = previous?.revision ?? needs.highestRevision();
    const compiled = { ...state.compiled, revision: before + (changed ? 1 : 0) };
    if (changed) {
      written = { compiled, resourceVersion: await write(compiled, resourceVersion, signal) };
      log.info({ revision: compiled.revision }, "compiled state written");
    }
    latest = { ...state, compiled };
    revisionGauge.set(compiled.revision);
    for (const handler of handlers) handler();
  }

  async function write(
    compiled: Compiled,
    resourceVersion: string | undefined,
    signal: AbortSignal,
  ): Promise<string | undefined> {
    const secret = compiledSecret(compiled, namespace);
    const metadata = { ...secret.metadata, resourceVersion: resourceVersion ?? absentVersion };
    const applied = await api.apply(resources.secrets, { ...secret, metadata }, { force: true, signal });
    return applied.metadata.resourceVersion;
  }

  const queue = createQueue({
    name: "compile",
    workers: 1,
    clock: needs.clock,
    random: needs.random,
    log,
    metrics: needs.metrics,
    work: async (_key, signal) => {
      try {
        await compile(signal);
      } catch (error) {
        written = undefined; // the next attempt starts from what the API server says
        throw error;
      }
      return { kind: "done" };
    },
  });

  return {
    name: "compiler",
    touch: () => queue.add(key),
    latest: () => latest,
    onCompiled: (handler) => void handlers.push(handler),
    async run(stop) {
      written = undefined;
      queue.add(key);
      await queue.run(stop);
    },
  };
}
