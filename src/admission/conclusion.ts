import { originalImagesAnnotation, pullSecretName } from "../config/names.ts";
import { adviseOn } from "./advice.ts";
import { type Consequences, changesReference, type ImageOutcome } from "./decision.ts";
import type { InspectedImage, Inspection } from "./inspect.ts";
import { annotationStep } from "./originals.ts";
import { appendPullSecret, type PatchOperation, replaceValue, setAnnotation } from "./patch.ts";
import { fieldPointer, type PodReading } from "./pod.ts";

/** What an inspection leads to. */
export type Conclusion = Consequences & { readonly patch: readonly PatchOperation[] };

const namesLengthLimit = 512;

/** Turns an inspection into operations, warnings and what is counted. */
export function concludePod(pod: PodReading, inspection: Inspection): Conclusion {
  const warnings = adviseOn(inspection);
  const patch: PatchOperation[] = [];
  for (const { field, decision } of inspection.images) {
    if (changesReference(decision.outcome)) patch.push(replaceValue(fieldPointer(field), decision.result));
  }
  if (inspection.addsSecret) patch.push(...appendPullSecret(inspection.secrets.list, pullSecretName));
  if (inspection.standing.kind !== "none" && inspection.change.kind !== "ephemeral") {
    const step = annotationStep(pod, inspection);
    if (step.kind === "set") patch.push(...setAnnotation(pod.metadata, originalImagesAnnotation, step.value));
    if (step.kind === "set" && step.isTooLarge) {
      warnings.add(`${originalImagesAnnotation} was not written: all annotations together would pass 256 KiB`);
    }
  }
  const counts = countOutcomes(inspection.images);
  return {
    patch,
    warnings: warnings.list(),
    counts,
    audit: auditOf(inspection, counts),
  };
}

function countOutcomes(images: readonly InspectedImage[]): Partial<Record<ImageOutcome, number>> {
  const counts: Partial<Record<ImageOutcome, number>> = {};
  for (const { decision } of images) counts[decision.outcome] = (counts[decision.outcome] ?? 0) + 1;
  return counts;
}

/** Keys that the API server prefixes with the webhook's name. */
function auditOf(inspection: Inspection, counts: Partial<Record<ImageOutcome, number>>): Record<string, string> {
  const audit: Record<string, string> = {};
  const { standing, images, secrets, addsSecret, wantsSecret } = inspection;
  if (standing.kind === "none") audit["left-alone"] = standing.reason;
  if (images.length > 0) {
    audit.images = Object.entries(counts)
      .map(([outcome, count]) => `${outcome}=${count}`)
      .join(",");
  }
  const changed = images.filter(({ decision }) => changesReference(decision.outcome));
  if (changed.length > 0)
    audit.changed = changed
      .map(({ field }) => field.name ?? "")
      .join(",")
      .slice(0, namesLengthLimit);
  if (addsSecret) audit["pull-secret"] = "appended";
  else if (secrets.isNamed) audit["pull-secret"] = "named";
  else if (wantsSecret) audit["pull-secret"] = "not-available";
  return audit;
}
