import { pullSecretName } from "../config/names.ts";
import type { ImageOutcome } from "./decision.ts";
import type { InspectedImage, Inspection } from "./inspect.ts";
import { noCredential } from "./pull-secret.ts";
import { reasonFor } from "./reason.ts";
import { createWarnings, quote, type Warnings } from "./warning.ts";

/** Outcomes that the user should hear of whatever the rule says. */
const notable: ReadonlySet<ImageOutcome> = new Set<ImageOutcome>([
  "empty",
  "placeholder",
  "not-a-string",
  "unreadable",
  "catalogue-unknown",
  "node-access-undecided",
  "node-access-closed",
  "no-pull-secret",
  "too-long",
  "ambiguous",
]);
/** Outcomes that are ordinary under `IfPresent`, but not where a rule says `Always`. */
const notableUnderAlways: ReadonlySet<ImageOutcome> = new Set<ImageOutcome>(["no-local-registry", "host-not-mappable"]);
const namesShown = 3;

/** What the user is told: one sentence for each reason, whatever the number of images that it concerns. */
export function adviseOn(inspection: Inspection): Warnings {
  const warnings = createWarnings();
  const { change, images, standing, secrets, wantsSecret } = inspection;
  if (standing.kind === "none") {
    const isConcerned = change.kind === "create" || images.some(({ decision }) => decision.outcome === "left-alone");
    if (standing.reason === "confined-account" && isConcerned) warnings.add(confined);
    return warnings;
  }
  for (const [reason, group] of groupByReason(inspection)) {
    const leaves = group.length > 1 ? " left as they are" : " left as it is";
    warnings.add(`${nameImages(group)}${group[0]?.decision.outcome === "rewritten" ? "" : leaves}: ${reason}`);
  }
  const isSaid = images.some(({ decision }) => decision.outcome === "no-pull-secret");
  const { problem, isNamed, canAppend } = secrets;
  if (wantsSecret && !isNamed && !isSaid && problem !== undefined && problem !== noCredential) {
    warnings.add(canAppend ? problem : `${pullSecretName} was not added to imagePullSecrets: ${problem}`);
  }
  return warnings;
}

const confined = `the pod was left as it is: its ServiceAccount has kubernetes.io/enforce-mountable-secrets and does not list ${pullSecretName} in its imagePullSecrets`;

function groupByReason(inspection: Inspection): Map<string, InspectedImage[]> {
  const groups = new Map<string, InspectedImage[]>();
  const facts = { secretProblem: inspection.secrets.problem, gate: inspection.gate };
  for (const image of inspection.images) {
    if (!isNotable(image)) continue;
    const reason = reasonFor(image.decision, facts);
    const group = groups.get(reason);
    if (group === undefined) groups.set(reason, [image]);
    else group.push(image);
  }
  return groups;
}

function isNotable({ decision }: InspectedImage): boolean {
  if (decision.pastGate || notable.has(decision.outcome)) return true;
  const { rule } = decision;
  const demands = rule !== undefined && (rule.when === "Always" || rule.target.kind === "registry");
  return demands && notableUnderAlways.has(decision.outcome);
}

function nameImages(images: readonly InspectedImage[]): string {
  const names = images.slice(0, namesShown).map(({ field }) => quote(field.name ?? `#${field.index}`, 40));
  const more = images.length - names.length;
  const list = more > 0 ? `${names.join(", ")} and ${more} more` : names.join(", ");
  return `image${images.length > 1 ? "s" : ""} of ${list}`;
}
