import { Counter, Histogram, type Registry } from "prom-client";
import type { SecretState } from "../admission/world.ts";
import type { Clock } from "../clock.ts";
import type { ClusterApi } from "../cluster/api.ts";
import { withDeadline } from "../cluster/deadline.ts";
import { resources } from "../cluster/resource.ts";
import { createSharedRead } from "../cluster/shared-read.ts";
import type { ObservedStore } from "../cluster/store.ts";
import { unlessMissing } from "../cluster/unless-missing.ts";
import type { Compiled } from "../config/compiled.ts";
import { pullSecretName } from "../config/names.ts";
import type { Log } from "../log.ts";
import { decideEnsure } from "./decide.ts";
import { desiredPullSecret } from "./desired.ts";
import { createEnsureMemory } from "./ensure-memory.ts";
import { type ObservedNamespace, type ObservedSecret, observeNamespace, observeSecret } from "./observed.ts";
import type { ApplyOutcome, SecretWriter } from "./secret-writer.ts";
import { isOptedIn, type NamespaceSelection } from "./selection.ts";

export type EnsureRequest = {
  /** Clock.monotonicMs at which the caller has to go on; `limitMs` after the look began at the latest. */
  readonly deadlineMs: number;
  /** Only say what is known: nothing is read from the API, nothing written. */
  readonly dryRun: boolean;
};

export type SecretEnsure = {
  /**
   * Whether the pull Secret of a namespace can be relied on; writes it when it is absent or older than what this
   * replica knows. Answers at once where this replica has seen it. Never rejects.
   */
  ensure(namespaceName: string, request: EnsureRequest): SecretState | Promise<SecretState>;
  /** Namespaces with recent admissions on this replica, the latest first; at most 1,000. */
  recent(): readonly string[];
};

export type EnsureNeeds = {
  readonly api: ClusterApi;
  readonly writer: SecretWriter;
  readonly namespaces: ObservedStore<ObservedNamespace>;
  readonly pullSecrets: ObservedStore<ObservedSecret>;
  /** As this replica has it in memory. */
  readonly compiled: () => Compiled | undefined;
  /**
   * Read from the API, before a write, so that a replica whose watch lags never writes older content. A rejection with
   * an ApiError of status 404 means that there is none.
   */
  readonly readCompiled: (signal: AbortSignal) => Promise<Compiled | undefined>;
  readonly selection: NamespaceSelection;
  /** How long one look may take in all; 800 unless given. */
  readonly limitMs?: number | undefined;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Registry;
};

const defaultLimitMs = 800;
/** One read of the compiled state serves all namespaces; one that hangs must not cost others their time. */
const compiledPatienceMs = 100;

/** What one flight is about. */
type Wanted = { readonly name: string; readonly namespace: ObservedNamespace; readonly state: Compiled };

/**
 * Makes sure inside admission that a pod's pull Secret exists before the pod does (section 5 of the design). Runs on
 * every replica, beside the leader's controller: one flight per namespace, never forced, nothing written that is older
 * than what is there; whatever cannot be settled in time leaves the pod without rewriting and blocks nothing.
 */
export function createSecretEnsure(needs: EnsureNeeds): SecretEnsure {
  const { namespaces, pullSecrets, compiled, selection, clock, log, limitMs = defaultLimitMs } = needs;
  const memory = createEnsureMemory({ clock, namespaces, pullSecrets });
  const flights = new Map<string, Promise<SecretState>>();
  const meter = createMeter(needs.metrics);
  const readNewest = createSharedRead({
    read: () => withDeadline(clock, limitMs, new AbortController().signal, needs.readCompiled),
    patienceMs: compiledPatienceMs,
    clock,
  });

  /** What can be said without asking anybody; undefined: the API has to be asked. */
  function known(name: string): SecretState | undefined {
    const state = compiled();
    const namespace = namespaces.get(name);
    if (state === undefined || namespace === undefined) return memory.refusal(name, state);
    if (namespace.terminating || !isOptedIn(namespace, selection)) return memory.refusal(name, state);
    const secret = pullSecrets.get(`${name}/${pullSecretName}`);
    const remembered = memory.judged(name, { state, namespace, secret });
    if (remembered !== undefined) return remembered;
    if (memory.wasWritten(name, { namespaceUid: namespace.uid, revision: state.revision })) return { kind: "ready" };
    const step = decideEnsure(secret, desiredPullSecret(state, namespace));
    if (step.kind === "write") return memory.refusal(name, state);
    memory.judge(name, { state, namespace, secret }, step);
    return step;
  }

  async function lookAndWrite(name: string, signal: AbortSignal): Promise<SecretState> {
    // One that no watch has shown is most likely not there, which the write itself finds out: see SecretWriter.
    const isSeen = pullSecrets.get(`${name}/${pullSecretName}`) !== undefined;
    const [namespace, secret, state] = await Promise.all([
      currentNamespace(needs, name, signal),
      isSeen ? readObserved(needs.api, name, signal) : undefined,
      newestCompiled(readNewest, compiled, signal),
    ]);
    if (state === undefined) return late("no credentials have been compiled yet");
    if (namespace === undefined || namespace.terminating) return unavailable("the namespace is going away");
    if (!isOptedIn(namespace, selection)) return { kind: "empty" };
    const want: Wanted = { name, namespace, state };
    const answer = await settle(want, secret, signal);
    if (answer !== "stale") return answer;
    const again = isSeen ? "stale" : await settle(want, await readObserved(needs.api, name, signal), signal);
    return again === "stale" ? afterRace(want, signal) : again;
  }

  /** Does what `secret` as it was found asks for. */
  async function settle(
    { name, namespace, state }: Wanted,
    secret: ObservedSecret | undefined,
    signal: AbortSignal,
  ): Promise<SecretState | "stale"> {
    const step = decideEnsure(secret, desiredPullSecret(state, namespace));
    if (step.kind !== "write") return step;
    const outcome = await needs.writer.apply({ secret: step.secret, known: step.known, force: false }, signal);
    if (outcome.kind === "stale") return "stale";
    const answer = stateOfOutcome(outcome);
    if (answer.kind === "ready") {
      memory.noteWritten(name, { namespaceUid: namespace.uid, revision: step.secret.revision });
    }
    return answer;
  }

  /** Somebody else, mostly the controller or another replica, wrote at the same moment: what is there now counts. */
  async function afterRace({ name, namespace, state }: Wanted, signal: AbortSignal): Promise<SecretState> {
    const step = decideEnsure(await readObserved(needs.api, name, signal), desiredPullSecret(state, namespace));
    return step.kind === "write" ? late("it is being changed by others") : step;
  }

  async function flight(name: string): Promise<SecretState> {
    const stop = new AbortController();
    const began = clock.monotonicMs();
    const timer = clock.sleep(limitMs, stop.signal).then(() => {
      stop.abort();
      return late(`it could not be looked at in ${limitMs} ms`);
    });
    timer.catch(() => undefined); // the look was faster, which ends the timer
    const look = lookAndWrite(name, stop.signal).catch((error: unknown) => {
      if (!stop.signal.aborted) log.warn({ err: error, namespace: name }, "the pull Secret could not be ensured");
      return late("the API server could not be asked");
    });
    try {
      const state = await Promise.race([look, timer]);
      if (state.kind === "unavailable") memory.noteRefusal(name, compiled(), state);
      else memory.noteSuccess(name);
      meter.count(state, clock.monotonicMs() - began);
      return state;
    } finally {
      stop.abort();
      flights.delete(name);
    }
  }

  async function waitFor(state: Promise<SecretState>, deadlineMs: number): Promise<SecretState> {
    const leftMs = deadlineMs - clock.monotonicMs();
    if (leftMs <= 0) return late("there was no time left to look at it");
    const stop = new AbortController();
    const timer = clock.sleep(leftMs, stop.signal).then(() => late("there was no time left to look at it"));
    timer.catch(() => undefined); // the flight was faster, which ends the timer
    try {
      return await Promise.race([state, timer]);
    } finally {
      stop.abort();
    }
  }

  return {
    ensure(namespaceName, { deadlineMs, dryRun }) {
      if (!dryRun) memory.noteAdmission(namespaceName);
      const answer = known(namespaceName);
      if (answer !== undefined) return answer;
      if (dryRun) return late("it is not there yet, and a dry run writes nothing");
      let running = flights.get(namespaceName);
      if (running === undefined) {
        running = flight(namespaceName);
        flights.set(namespaceName, running);
      }
      return waitFor(running, deadlineMs);
    },
    recent: () => memory.recent(),
  };
}

function unavailable(reason: string): SecretState {
  return { kind: "unavailable", reason };
}

/** The controller goes on where admission had to stop. */
function late(reason: string): SecretState {
  return { kind: "unavailable", reason, isPassing: true };
}

function stateOfOutcome(outcome: Exclude<ApplyOutcome, { kind: "stale" }>): SecretState {
  switch (outcome.kind) {
    case "created":
    case "updated":
    case "unchanged":
      return { kind: "ready" };
    case "conflict":
      return unavailable("somebody else holds it");
    case "forbidden":
      return unavailable(`the API server refuses it (${outcome.reason})`);
    case "unchangeable":
      return unavailable("it cannot be changed in place");
    case "gone":
      return unavailable("the namespace is going away");
  }
}

/** From the store, unless it says that the namespace is unknown, going or not served: then a fresh one may be. */
async function currentNamespace(
  needs: EnsureNeeds,
  name: string,
  signal: AbortSignal,
): Promise<ObservedNamespace | undefined> {
  const seen = needs.namespaces.get(name);
  if (seen !== undefined && !seen.terminating && isOptedIn(seen, needs.selection)) return seen;
  const found = await unlessMissing(needs.api.get(resources.namespaces, { name }, signal));
  return found === undefined ? undefined : observeNamespace(found);
}

async function readObserved(
  api: ClusterApi,
  namespace: string,
  signal: AbortSignal,
): Promise<ObservedSecret | undefined> {
  const address = { namespace, name: pullSecretName };
  const found = await unlessMissing(api.get(resources.secrets, address, signal));
  return found === undefined ? undefined : observeSecret(found);
}

/** Of what is in memory and what the API has, the higher revision. */
async function newestCompiled(
  read: (signal: AbortSignal) => Promise<Compiled | undefined>,
  compiled: () => Compiled | undefined,
  signal: AbortSignal,
): Promise<Compiled | undefined> {
  const fresh = await unlessMissing(read(signal));
  const own = compiled();
  if (fresh === undefined || own === undefined) return fresh ?? own;
  return fresh.revision > own.revision ? fresh : own;
}

function createMeter(metrics: Registry) {
  const total = new Counter({
    name: "slipway_credentials_ensures_total",
    help: "Looks at a pull Secret inside admission that went to the API server, by what came of them.",
    labelNames: ["state"] as const,
    registers: [metrics],
  });
  const seconds = new Histogram({
    name: "slipway_credentials_ensure_seconds",
    help: "How long such a look took.",
    buckets: [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8],
    registers: [metrics],
  });
  return {
    count(state: SecretState, durationMs: number): void {
      total.inc({ state: state.kind });
      seconds.observe(durationMs / 1000);
    },
  };
}
