import { systemClock } from "../../../src/clock.ts";
import { createTransport } from "../../../src/cluster/client.ts";
import { createLog } from "../../../src/log.ts";
import { countRequests } from "../../integration/credential/cluster.ts";
import { createLeaderState, startController } from "../../integration/credential/controller.ts";

/**
 * The credentials' controller in a process of its own: prints what its start took when every namespace has been looked
 * at, compiles anew on SIGUSR2, ends on SIGTERM.
 *
 * Arguments: a kubeconfig, and the revision to begin with, as a leader finds it in the compiled state.
 */
const beganMs = performance.now();
const [kubeconfig = "", revision = "1"] = process.argv.slice(2);
const log = createLog({ level: "silent" });
const transport = createTransport({ kubeconfig, clock: systemClock, random: Math.random, log });
const counted = countRequests(transport);
const leader = createLeaderState(counted.api);
await leader.setPullCredentials({ bench: [{ secretRef: { name: "bench" } }] });
while ((leader.compiled()?.revision ?? 0) < Number(revision)) await leader.recompile();
const requestsBefore = { lists: counted.lists.length, writes: counted.writes.length };
const controller = await startController(counted, leader);
while (!controller.progress.hasReached(leader.compiled()?.revision ?? 0)) {
  await systemClock.sleep(50, AbortSignal.timeout(600_000));
}
process.on("SIGUSR2", () => {
  leader.recompile().catch((error: unknown) => {
    process.stderr.write(`${String(error)}\n`);
    process.exitCode = 1;
  });
});
process.once("SIGTERM", () => {
  void controller.stop().then(() => transport.close());
});
const lists = counted.lists.slice(requestsBefore.lists);
const writes = counted.writes.length - requestsBefore.writes;
process.stdout.write(`${JSON.stringify({ lists, writes, startMs: performance.now() - beganMs })}\n`);
