import { setMode } from "./access.ts";
import { kindTest } from "./harness.ts";

kindTest("nodeAccess Auto goes on, and HostsToml is what it takes here", async ({ cluster }) => {
  await setMode(cluster, "HostsToml");
  await setMode(cluster, "Auto");
});
