import { stringify } from "yaml";
import type { ExplainedImage } from "../admission/explain.ts";
import type { SourceExplanation } from "./explain-source.ts";

export type ExplainFormat = "table" | "json" | "yaml" | "patch";

/**
 * The output of `slipway explain`. For one pod the JSON form is the explanation itself; for several it is
 * `{"items":[{"owner","namespace", …the explanation}]}`. YAML is the same, patch the RFC 6902 document.
 */
export function formatExplanations(results: readonly SourceExplanation[], format: ExplainFormat): string {
  if (format === "table") return results.map(table).join("\n");
  const [first] = results;
  const value =
    results.length === 1 && first !== undefined
      ? contentOf(first, format)
      : { items: results.map((result) => itemOf(result, format)) };
  return format === "yaml" ? stringify(value) : `${JSON.stringify(value, null, 2)}\n`;
}

function contentOf({ explanation }: SourceExplanation, format: ExplainFormat): unknown {
  return format === "patch" ? explanation.patch : explanation;
}

function itemOf({ owner, namespace, explanation }: SourceExplanation, format: ExplainFormat): unknown {
  return format === "patch" ? { owner, namespace, patch: explanation.patch } : { owner, namespace, ...explanation };
}

function table({ owner, namespace, explanation }: SourceExplanation): string {
  const { images, imagePullSecrets, warnings } = explanation;
  const lines = images.flatMap((image) => [
    `  ${image.path}`,
    ...fields(image).map(([name, value]) => row(name, value)),
  ]);
  return [
    `${owner} in namespace ${namespace}`,
    ...(lines.length === 0 ? ["  there is no image in it"] : lines),
    `  imagePullSecrets  ${imagePullSecrets.join(", ") || "none"}`,
    ...warnings.map((warning) => `  warning           ${warning}`),
    "",
  ].join("\n");
}

function row(name: string, value: string): string {
  return `    ${name.padEnd(16)}${value}`;
}

function fields(image: ExplainedImage): readonly (readonly [string, string])[] {
  const isRewritten = image.result !== image.original;
  return [
    ["image", printable(image.original)],
    ...(image.error === null ? [] : [["error", image.error.message] as const]),
    ["result", isRewritten ? image.result : "unchanged"],
    ["because", image.reason],
    ["rule", image.rule ?? "none"],
    ["at the registry", presence(image.present)],
    ["pulled with", image.credential ?? "no login of the pod's Secrets"],
  ];
}

function presence(present: boolean | null): string {
  if (present === null) return "not known, or not asked";
  return present ? "present" : "not present, or not for this namespace";
}

/** A hostile reference must not move the cursor of a terminal. */
function printable(text: string): string {
  const clean = text.replace(/[^\x20-\x7e]/g, "?");
  return clean.length > 512 ? `${clean.slice(0, 512)}…` : clean || '""';
}
