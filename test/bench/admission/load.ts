import { execFile, spawnSync } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { promisify } from "node:util";
import { onCore } from "../measured-process.ts";

const run = promisify(execFile);

export type LoadResult = { readonly perSecond: number; readonly p50Ms: number; readonly p99Ms: number };

export type Load = {
  /** For people. */
  readonly name: string;
  /** Sends `bodyFile` over and over, keep-alive, and throws when an answer is no 200. */
  run(target: {
    readonly port: string;
    readonly bodyFile: string;
    readonly connections: number;
    readonly seconds: number;
  }): Promise<LoadResult>;
};

/** wrk where it is installed, since it needs less CPU than what it measures; else autocannon. */
export function findLoad(needs: {
  readonly folder: string;
  readonly core: number | undefined;
  readonly caFile: string;
}): Load {
  return spawnSync("wrk", ["-v"]).error === undefined ? createWrk(needs) : createAutocannon(needs);
}

function createWrk({ folder, core }: { readonly folder: string; readonly core: number | undefined }): Load {
  return {
    name: "wrk",
    async run({ port, bodyFile, connections, seconds }) {
      const script = join(folder, "post.lua");
      const lines = [
        `local file = io.open("${bodyFile}")`,
        'wrk.method = "POST"',
        'wrk.body = file:read("*a")',
        'wrk.headers["Content-Type"] = "application/json"',
      ];
      await writeFile(script, `${lines.join("\n")}\n`);
      const args = ["-t1", `-c${connections}`, `-d${seconds}s`, "--latency", "-s", script];
      const url = `https://127.0.0.1:${port}/mutate?timeout=5s`;
      const [program = "", ...rest] = onCore(core, ["wrk", ...args, url]);
      const { stdout } = await run(program, rest);
      if (/Non-2xx|Socket errors/.test(stdout)) throw new Error(`wrk saw faults:\n${stdout}`);
      const value = (pattern: RegExp) => pattern.exec(stdout)?.[1] ?? "";
      return {
        perSecond: Number(value(/Requests\/sec:\s+([\d.]+)/)),
        p50Ms: milliseconds(value(/ 50%\s+(\S+)/)),
        p99Ms: milliseconds(value(/ 99%\s+(\S+)/)),
      };
    },
  };
}

/** `1.23ms`, `45.00us`, `1.01s` */
function milliseconds(text: string): number {
  const factor = text.endsWith("us") ? 0.001 : text.endsWith("ms") ? 1 : 1_000;
  return Number.parseFloat(text) * factor;
}

function createAutocannon({ core, caFile }: { readonly core: number | undefined; readonly caFile: string }): Load {
  const program = createRequire(import.meta.url).resolve("autocannon/autocannon.js");
  return {
    name: "autocannon",
    async run({ port, bodyFile, connections, seconds }) {
      const flags = ["-j", "-c", String(connections), "-d", String(seconds), "-m", "POST", "-i", bodyFile];
      const url = `https://127.0.0.1:${port}/mutate?timeout=5s`;
      const args = [program, ...flags, "-H", "content-type=application/json", "--ca", caFile, url];
      const [command = "", ...rest] = onCore(core, [process.execPath, ...args]);
      const { stdout } = await run(command, rest, { env: { ...process.env, NODE_EXTRA_CA_CERTS: caFile } });
      const result = JSON.parse(stdout);
      if (result.non2xx > 0 || result.errors > 0) throw new Error(`autocannon saw faults: ${stdout}`);
      return { perSecond: result.requests.average, p50Ms: result.latency.p50, p99Ms: result.latency.p99 };
    },
  };
}
