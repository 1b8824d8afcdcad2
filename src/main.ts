#!/usr/bin/env node
import { commandTable, runCommand } from "./command/table.ts";

process.exitCode = await runCommand(commandTable, process.argv.slice(2), process);
