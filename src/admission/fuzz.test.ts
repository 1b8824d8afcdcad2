import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { applyDecision } from "../../test/fixtures/admission/apply.ts";
import { anyReviewText, worldConfigs } from "../../test/fixtures/admission/arbitrary.ts";
import { buildWorld } from "../../test/fixtures/admission/world.ts";
import { buildAnswer } from "./answer.ts";
import type { Decision } from "./decision.ts";
import { mutate } from "./mutate.ts";
import { type AdmissionRequest, parseReview } from "./review.ts";
import { warningLengthLimit, warningTotalLimit } from "./warning.ts";
import type { AdmissionWorld } from "./world.ts";

const runs = 200_000;
/** What a patch may name at all: everything else of the object cannot change. */
const patchable =
  /^(\/spec\/(containers|initContainers|ephemeralContainers)\/\d+\/image|\/spec\/volumes\/\d+\/image\/reference|\/spec\/imagePullSecrets(\/-)?|\/metadata(\/annotations(\/slipway\.dev~1original-images)?)?)$/;
const lists = ["containers", "initContainers", "ephemeralContainers", "volumes"] as const;

test(`${runs} reviews that nobody would send are answered, allowed, with patches that apply`, (context) => {
  const worlds = worldConfigs.map((config) => ({ ...buildWorld(config), present: isPresent }));
  const seed = Date.now() % 2 ** 31;
  context.diagnostic(`seed ${seed}`);
  const seen = { refused: 0, untouched: 0, patched: 0 };
  fc.assert(
    fc.property(anyReviewText(), fc.nat(worlds.length - 1), (text, index) => {
      const reading = parseReview(text);
      if (reading.kind === "refused") {
        seen.refused++;
        assert.equal(reading.status, 400);
        return;
      }
      const world = worlds[index];
      assert.ok(world !== undefined);
      seen[check(reading.request, world).kind]++;
    }),
    { numRuns: runs, seed },
  );
  assert.ok(Math.min(...Object.values(seen)) > runs / 100, JSON.stringify(seen));
});

/** Some are, some are not, some cannot be told; always the same for the same repository. */
function isPresent(repository: string): boolean | undefined {
  return [true, true, false, undefined][repository.length % 4];
}

function check(request: AdmissionRequest, world: AdmissionWorld): Decision {
  const decision = mutate(request, world);
  const { response } = buildAnswer(request.uid, decision);
  assert.ok(response.allowed && response.uid === request.uid);
  assert.equal(response.patch === undefined, response.patchType === undefined);
  assert.ok(decision.warnings.every(({ length }) => length <= warningLengthLimit));
  assert.ok(decision.warnings.reduce((sum, { length }) => sum + length, 0) <= warningTotalLimit);
  if (decision.kind === "untouched") return decision;
  for (const { path } of decision.patch) assert.match(path, patchable);
  const after = applyDecision(request.object, decision);
  for (const list of lists) assert.equal(sizeOf(after, list), sizeOf(request.object, list));
  assert.equal(mutate({ ...request, object: after }, world).kind, "untouched", "a second pass changes nothing");
  return decision;
}

function sizeOf(pod: unknown, list: (typeof lists)[number]): unknown {
  const value = (pod as { spec: Record<string, unknown> }).spec[list];
  return Array.isArray(value) ? value.length : typeof value;
}
