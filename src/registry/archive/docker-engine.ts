import { spawn } from "node:child_process";
import { PassThrough } from "node:stream";
import { pipeline } from "node:stream/promises";
import { SlipwayError } from "../../errors.ts";
import type { Content } from "./content.ts";
import { spoolContent } from "./open-content.ts";

const keptOutputCharacters = 4_096;

/**
 * An image of the local docker, by `docker save` into a temporary file: a push that breaks has to read again from the
 * middle, which a pipe cannot.
 *
 * @param needs.program `docker`, or one that knows `save` as docker does
 * @param needs.env of the child process: docker finds its daemon by it
 * @throws SlipwayError PROGRAM_MISSING, PROGRAM_FAILED with docker's own words (no such image, no daemon)
 */
export async function saveFromDocker(
  needs: {
    readonly program: string;
    readonly env: Readonly<Record<string, string | undefined>>;
    readonly signal: AbortSignal;
  },
  image: string,
): Promise<Content> {
  const { program, env, signal } = needs;
  // "--" keeps an image name from being read as a flag.
  const child = spawn(program, ["save", "--", image], { env, signal, stdio: ["ignore", "pipe", "pipe"] });
  let words = "";
  child.stderr.on("data", (chunk: Buffer) => {
    words = (words + chunk.toString("utf8")).slice(-keptOutputCharacters);
  });
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  // Taken at once: Node throws away what nobody reads when the child ends.
  const output = new PassThrough();
  const taken = pipeline(child.stdout, output);
  const [spooled, exit] = await Promise.allSettled([spoolContent(output, image), ended, taken]);
  if (exit.status === "fulfilled" && exit.value === 0 && spooled.status === "fulfilled") return spooled.value;
  if (spooled.status === "fulfilled") await spooled.value.close();
  signal.throwIfAborted();
  throw faultOf(program, image, exit, { words, spooled });
}

function faultOf(
  program: string,
  image: string,
  exit: PromiseSettledResult<number | null>,
  { words, spooled }: { readonly words: string; readonly spooled: PromiseSettledResult<Content> },
): unknown {
  if (exit.status === "rejected") {
    const isMissing = (exit.reason as { code?: unknown }).code === "ENOENT";
    if (!isMissing) return exit.reason;
    return new SlipwayError(
      "PROGRAM_MISSING",
      `${image} is no file, so it is looked for in the local docker, but there is no program ${program}`,
      { cause: exit.reason },
    );
  }
  if (exit.value === 0 && spooled.status === "rejected") return spooled.reason;
  return new SlipwayError("PROGRAM_FAILED", `${program} save ${image}: ${words.trim() || `exit code ${exit.value}`}`);
}
