import type { Clock } from "../clock.ts";
import { ApiError, type ClusterApi } from "../cluster/api.ts";
import type { KubernetesObject } from "../cluster/object.ts";
import { resources } from "../cluster/resource.ts";
import type { NodeAccessMode } from "../config/local-registry.ts";
import type { Log } from "../log.ts";
import type { RegistryClient } from "../registry/client.ts";
import { RegistryError } from "../registry/registry-error.ts";
import { buildContractImage, pushContractImage } from "./contract-image.ts";
import { type ContractPlace, containerName, contractPod, hasPullSecret } from "./contract-pod.ts";
import { explainPull, isRefusal, type PullState, readPulls } from "./contract-words.ts";

/** The parts of the registry's client that a check needs, with a login that may push. */
export type ContractRegistry = Pick<
  RegistryClient,
  "uploadBlob" | "putManifest" | "headManifest" | "deleteManifest" | "tags"
>;

/** What is checked: the same for all nodes. */
export type ContractTarget = {
  readonly mode: NodeAccessMode;
  /** `host[:port]` under which pods push and nodes pull, each of them checked. */
  readonly names: readonly string[];
  /** See contractKey. */
  readonly key: string;
  /** Fingerprints of the CAs that a node has to have in use before it is worth checking. */
  readonly cas: readonly string[];
  /** Whether another namespace has to be refused: not for an external registry. */
  readonly isolates: boolean;
  readonly registry: ContractRegistry;
};

export type ContractFinding =
  | { readonly kind: "passed"; readonly message: string }
  | { readonly kind: "failed" | "exposed"; readonly reason: string; readonly message: string }
  /** Nothing about the node: the push failed, or the pod never came to its pull. */
  | { readonly kind: "undecided"; readonly message: string };

/** Kubelet tries about three times within it: at once, after ten and after thirty seconds. */
const patienceMs = 45_000;
const lookMs = 500;
/** At a stop the next leader tidies up; a slow API server is no reason to leave anything. */
const cleanupMs = { stopping: 3_000, working: 30_000 } as const;

/** One contract check of one node: push, pull there by the same name, see another namespace refused, clean up. */
export type ContractRun = (node: string, target: ContractTarget, signal: AbortSignal) => Promise<ContractFinding>;

/**
 * @param needs.run marks pods and tags of this process, a DNS label of at most 16 characters
 */
export function createContractRun(needs: {
  readonly place: ContractPlace;
  readonly api: Pick<ClusterApi, "create" | "list" | "delete">;
  readonly run: string;
  readonly randomBytes: (size: number) => Buffer;
  readonly clock: Clock;
  readonly log: Log;
}): ContractRun {
  const { place, api, clock, log } = needs;
  const { repository } = place;

  async function watchPulls(
    pod: KubernetesObject,
    containers: readonly string[],
    until: { readonly settled: (state: PullState) => boolean; readonly signal: AbortSignal },
  ): Promise<PullState> {
    const { namespace = "", uid = "" } = pod.metadata;
    const deadlineMs = clock.monotonicMs() + patienceMs;
    for (;;) {
      const fieldSelector = `regarding.uid=${uid}`;
      const state = readPulls(await api.list(resources.events, { namespace, fieldSelector }, until.signal), containers);
      if (until.settled(state) || clock.monotonicMs() >= deadlineMs) return state;
      await clock.sleep(lookMs, until.signal);
    }
  }

  /** Runs a pod until its pulls are settled, and removes it. */
  async function tryPod(
    pod: KubernetesObject,
    until: { readonly settled: (state: PullState) => boolean; readonly signal: AbortSignal },
  ): Promise<PullState> {
    const { name, namespace = "" } = pod.metadata;
    const containers = (pod.spec as { readonly containers: readonly unknown[] }).containers.map((_, index) =>
      containerName(index),
    );
    try {
      const created = await api.create(resources.pods, pod, { signal: until.signal });
      if (place.isInjected && !hasPullSecret(created))
        return { kind: "waiting", words: "the webhook did not give the pod its pull Secret" };
      return await watchPulls(created, containers, until);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      return { kind: "waiting", words: `Pod ${namespace}/${name}: ${error.message}` };
    } finally {
      await cleanUp(
        `Pod ${namespace}/${name}`,
        (signal) => api.delete(resources.pods, { namespace, name }, { signal }).catch(unlessGone),
        until.signal,
      );
    }
  }

  /** At a stop, too, within its own time. What stays is found by the label at the next start. */
  async function cleanUp(
    what: string,
    work: (signal: AbortSignal) => Promise<unknown>,
    check: AbortSignal,
  ): Promise<void> {
    const done = new AbortController();
    try {
      await work(cleanupLimit(check, done.signal));
    } catch (error) {
      log.warn({ err: error }, `${what} of a contract check is left; ${place.leftovers}`);
    } finally {
      done.abort();
    }
  }

  /** Aborts when the time for working is over, or the shorter one since the check was stopped. */
  function cleanupLimit(check: AbortSignal, done: AbortSignal): AbortSignal {
    const limit = new AbortController();
    const end = () => limit.abort(new Error("it took too long"));
    clock
      .sleep(cleanupMs.working, AbortSignal.any([check, done]))
      .catch(() => clock.sleep(cleanupMs.stopping, done))
      .then(end, () => undefined); // done: there is nothing to end
    return limit.signal;
  }

  async function check(
    subject: { readonly node: string; readonly word: string; readonly tag: string },
    target: ContractTarget,
    signal: AbortSignal,
  ): Promise<ContractFinding> {
    const { node, word, tag } = subject;
    const images = target.names.map((name) => `${name}/${repository}:${tag}`);
    const pod = (namespace: string) =>
      contractPod({ name: `contract-${word}`, namespace, node, run: needs.run, images, place });
    const own = await tryPod(pod(place.namespace), { settled: ({ kind }) => kind === "pulled", signal });
    if (own.kind === "waiting") return undecided("the pod came to no pull", own.words);
    if (own.kind === "failing") return judgeFailure(own.words, target, { tag, signal });
    const passed = { kind: "passed", message: `pulled ${target.names.join(" and ")}` } as const;
    if (!target.isolates) return passed;
    const other = await tryPod(pod(place.otherNamespace), { settled: ({ kind }) => kind !== "waiting", signal });
    if (other.kind === "pulled") return exposed(place);
    if (other.kind === "failing" && isRefusal(other.words)) {
      return { ...passed, message: `${passed.message}; ${place.otherNamespace} was refused` };
    }
    return undecided(`whether ${place.otherNamespace} is refused is not known`, other.words);
  }

  /** A registry that is away fails every node: that is told elsewhere, and no node is to blame. */
  async function judgeFailure(
    words: string,
    { registry }: ContractTarget,
    { tag, signal }: { readonly tag: string; readonly signal: AbortSignal },
  ): Promise<ContractFinding> {
    const isThere = await registry.headManifest(repository, tag, signal);
    if (isThere === undefined) return undecided("the image that was pushed is gone from the registry", words);
    return { kind: "failed", ...explainPull(words, place) };
  }

  return async (node, target, signal) => {
    const word = needs.randomBytes(5).toString("hex");
    const tag = `${needs.run}-${word}`;
    const image = buildContractImage(`${tag} for ${node}`);
    const { registry } = target;
    try {
      await pushContractImage(registry, { image, repository, tag }, signal);
      return await check({ node, word, tag }, target, signal);
    } catch (error) {
      if (!(error instanceof RegistryError)) throw error;
      return undecided("the registry did not take the image of the check, or lost it", error.message);
    } finally {
      await cleanUp(
        `${repository}:${tag}`,
        (limit) => registry.deleteManifest(repository, image.manifest.digest, limit),
        signal,
      );
    }
  };
}

function exposed({ namespace, otherNamespace }: ContractPlace): ContractFinding {
  return {
    kind: "exposed",
    reason: "IsolationBroken",
    message: `a pod of ${otherNamespace} pulled an image of ${namespace}: look at rights in Secret slipway-registry-users, at sharedRepositories, and at credentials that this node's runtime or kubelet has of its own`,
  };
}

function undecided(what: string, words: string): ContractFinding {
  return { kind: "undecided", message: words === "" ? what : `${what}: ${words}` };
}

function unlessGone(error: unknown): void {
  if (!(error instanceof ApiError) || error.status !== 404) throw error;
}
