#!/usr/bin/env node
import { commandTable, runCommand } from "./command/table.ts";

const exitCode = await runCommand(commandTable, process.argv.slice(2), process);
for (const stream of [process.stdout, process.stderr]) await new Promise((resolve) => stream.write("", resolve));
// Whatever is still open is nobody's any more. By itself the process would end only with the last of it, and a pod that
// goes on is killed when its grace period is over: for the registry's a gap of half a minute.
process.exit(exitCode);
