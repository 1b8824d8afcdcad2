import { describe } from "node:test";
import { setMode } from "./access.ts";
import { kindTest } from "./harness.ts";
import { proveManyFiles } from "./many-files.ts";

kindTest("nodeAccess Auto goes on, and HostsToml is what it takes here", async ({ cluster }) => {
  await setMode(cluster, "HostsToml");
  await setMode(cluster, "Auto");
});

describe("many files, and files that came too early", { concurrency: 2 }, proveManyFiles);
