import { failedFinding, type Strategy } from "./strategy.ts";

/** No access: nothing is written and nothing is looked at. */
export function createNoneStrategy(): Strategy {
  const finding = failedFinding("None", {
    reason: "NodeAccessNone",
    message: "nodes have no access to the registry by order; set nodeAccess of LocalRegistry to change it",
  });
  return {
    mode: "None",
    apply: async () => {},
    check: async () => ({ finding, trustedCas: [], usesCa: false }),
    remove: async () => ({ kind: "removed" }),
  };
}
