import { systemClock } from "../../../src/clock.ts";
import { createTransport } from "../../../src/cluster/client.ts";
import { createLog } from "../../../src/log.ts";
import { countRequests } from "../../integration/credential/cluster.ts";
import { createLeaderState, startController } from "../../integration/credential/controller.ts";

/**
 * The credentials' controller in a process of its own: prints what its start took when every namespace has been looked
 * at, compiles anew on SIGUSR2, ends on SIGTERM.
 */
const beganMs = performance.now();
const [kubeconfig = ""] = process.argv.slice(2);
const log = createLog({ level: "silent" });
const transport = createTransport({ kubeconfig, clock: systemClock, random: Math.random, log });
const counted = countRequests(transport);
const leader = createLeaderState(counted.api);
await leader.setPullCredentials({ bench: [{ secretRef: { name: "bench" } }] });
const requestsBefore = { lists: counted.lists.length, writes: counted.writes.length };
const controller = await startController(counted, leader);
while (!controller.progress.hasReached(leader.compiled()?.revision ?? 0)) {
  await systemClock.sleep(5, AbortSignal.timeout(600_000));
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
