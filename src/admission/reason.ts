import type { ImageOutcome } from "./decision.ts";
import type { ImageDecision } from "./image.ts";
import { quote } from "./warning.ts";
import type { GateVerdict } from "./world.ts";

/** What a reason may have to name besides the image. */
export type ReasonFacts = {
  readonly secretProblem: string | undefined;
  readonly gate: () => GateVerdict;
};

/** Why an image has the reference that it has afterwards: one sentence, the same in warnings and in `explain`. */
export function reasonFor(decision: ImageDecision, facts: ReasonFacts): string {
  switch (decision.outcome) {
    case "rewritten":
      return decision.pastGate
        ? `rewritten although ${gateText(facts)}: its rule says when: Always`
        : "rewritten by the first rule that matches";
    case "unreadable":
      return decision.fault?.message ?? "the reference cannot be read";
    case "no-pull-secret":
      return facts.secretProblem ?? "the pull Secret cannot be used";
    case "node-access-closed":
      return `${gateText(facts)}, so that it could not be pulled from the local registry`;
    case "not-present":
      return notPresent(decision);
    default:
      return plainReasons[decision.outcome];
  }
}

type PlainOutcome = Exclude<
  ImageOutcome,
  "rewritten" | "unreadable" | "no-pull-secret" | "node-access-closed" | "not-present"
>;

const plainReasons: Readonly<Record<PlainOutcome, string>> = {
  retargeted: "the loopback address stands for every name of the local registry in LoopbackProxy mode",
  "put-back": "the pod was admitted with this reference, made of the one that was applied again",
  empty: "there is no reference yet",
  placeholder: "'auto' is a placeholder that another webhook fills in (Istio)",
  "not-a-string": "the value is not a string",
  "at-local-registry": "it names the local registry already",
  "already-rewritten": "it already stands where a rule sends references",
  "not-opted-in": "the namespace is not opted in: it lacks the label slipway.dev/inject: enabled",
  "rewrite-disabled": "the label slipway.dev/rewrite: disabled keeps references",
  windows: "references of Windows pods stay: the node agent does not serve Windows nodes",
  "left-alone": "the pod as a whole is left alone",
  "no-rule": "no rule matches",
  "no-local-registry": "there is no LocalRegistry",
  "catalogue-unknown": "what the local registry holds is not known at the moment",
  "node-access-undecided": "how nodes reach the local registry has not been decided yet",
  "host-not-mappable":
    "its registry has neither dot nor port, or is an IPv6 address, so that its path could collide with another's",
  "too-long": "its path would pass 255 characters",
  ambiguous: "a path of one segment at docker.io would be read as docker.io/library",
};

function notPresent({ local }: ImageDecision): string {
  const name = local === undefined ? "it" : quote(local.repository, 120);
  return `${name} is not at the local registry, or this namespace's login may not pull it (see spec.auth.sharedRepositories of the LocalRegistry)`;
}

function gateText({ gate }: ReasonFacts): string {
  const verdict = gate();
  return verdict.kind === "closed"
    ? `node ${quote(verdict.node)} does not reach the local registry (${verdict.reason})`
    : "a node does not reach the local registry";
}
