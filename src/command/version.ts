import { slipwayVersion } from "../version.ts";
import type { CommandRun } from "./program.ts";

export const run: CommandRun = async ({ stdout }) => {
  stdout.write(`slipway ${slipwayVersion} (node ${process.version})\n`);
  return 0;
};
