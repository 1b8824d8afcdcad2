import { analyseRewrites } from "../../../src/admission/collision.ts";
import { mutate } from "../../../src/admission/mutate.ts";
import { readReview } from "../../../src/admission/review.ts";
import { compileRules } from "../../../src/admission/rules.ts";
import type { AdmissionWorld } from "../../../src/admission/world.ts";
import { createReview, registry } from "./review.ts";

export type MutationFigures = {
  /** The decision about a pod with 500 containers, milliseconds, one value for each repetition. */
  readonly fiveHundredMs: readonly number[];
  /** The cost of one image, microseconds, by the number of rules. */
  readonly perImage: readonly { readonly rules: number; readonly microseconds: readonly number[] }[];
};

const repetitions = 5;

/** Times mutate() alone, in this process: no HTTP, no JSON. */
export function measureMutation(): MutationFigures {
  return {
    fiveHundredMs: timeMutation(500, worldWith(1), 200),
    perImage: [10, 100, 1_000, 10_000].map((rules) => ({
      rules,
      microseconds: timeMutation(50, worldWith(rules), 1_000).map((ms) => (ms * 1_000) / 50),
    })),
  };
}

/** @returns milliseconds for one decision, a mean of each repetition */
function timeMutation(containers: number, world: AdmissionWorld, times: number): readonly number[] {
  const reading = readReview(JSON.parse(createReview(0, containers)));
  if (reading.kind !== "ok") throw new Error(reading.message);
  const { request } = reading;
  const decision = mutate(request, world);
  if (decision.counts.rewritten !== containers)
    throw new Error(`rewrote ${decision.counts.rewritten} of ${containers}`);
  for (let index = 0; index < times; index++) mutate(request, world);
  return Array.from({ length: repetitions }, () => {
    const startedAt = performance.now();
    for (let index = 0; index < times; index++) mutate(request, world);
    return (performance.now() - startedAt) / times;
  });
}

/** Rules for as many hosts and folders, over objects of 250; the one that decides is the last. */
function worldWith(rules: number): AdmissionWorld {
  const objects = [];
  for (let from = 0; from < rules - 1; from += 250) {
    const count = Math.min(250, rules - 1 - from);
    objects.push({
      name: `rules-${String(from).padStart(6, "0")}`,
      spec: {
        rules: Array.from({ length: count }, (_, index) => ({
          match: {
            registry: index % 2 === 0 ? "docker.io" : `host-${from + index}.example.com`,
            repository: `team-${from + index}/**`,
          },
          target: `mirror.example.com/m${from + index}`,
          keepHost: false,
        })),
      },
    });
  }
  objects.push({ name: "zz-default", spec: { rules: [{ target: "local" }] } });
  const { rewrites } = analyseRewrites(objects);
  return {
    namespace: { name: "shop", labels: { "slipway.dev/inject": "enabled" } },
    rules: compileRules(rewrites),
    registry: { target: registry, names: [registry], retarget: false, chosen: true },
    secret: { kind: "ready" },
    wantsSecret: () => true,
    present: () => true,
    gate: () => ({ kind: "open" }),
    isConfined: () => false,
  };
}
