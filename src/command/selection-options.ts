import type { Option } from "commander";
import type { NamespaceSelection } from "../namespace/selection.ts";
import { environmentOption } from "./program.ts";

export type SelectionFlags = {
  readonly injectMode: "opt-in" | "opt-out";
  readonly excludeNamespaces: readonly string[];
};

/** Which namespaces are served: serve and the gateway have to agree. */
export function selectionOptions(): readonly Option[] {
  return [
    environmentOption(
      "--inject-mode <mode>",
      "SLIPWAY_INJECT_MODE",
      "opt-in: labelled namespaces; opt-out: all but excluded ones",
    )
      .choices(["opt-in", "opt-out"])
      .default("opt-in"),
    environmentOption(
      "--exclude-namespaces <names>",
      "SLIPWAY_EXCLUDE_NAMESPACES",
      "never served, comma separated, beside kube-system, slipway-system and slipway-node",
    )
      .default([] as readonly string[], "none")
      .argParser(list),
  ];
}

export function readSelection({ injectMode, excludeNamespaces }: SelectionFlags): NamespaceSelection {
  return { mode: injectMode === "opt-in" ? "OptIn" : "OptOut", excluded: excludeNamespaces };
}

function list(text: string): readonly string[] {
  return text
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "");
}
