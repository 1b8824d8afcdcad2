import { stat } from "node:fs/promises";
import { stringify } from "yaml";
import { systemClock } from "../clock.ts";
import { SlipwayError } from "../errors.ts";
import { saveFromDocker } from "../registry/archive/docker-engine.ts";
import type { Archive, ArchiveImage } from "../registry/archive/image.ts";
import { openArchive } from "../registry/archive/open.ts";
import { openContent } from "../registry/archive/open-content.ts";
import { decideDestination } from "../registry/destination.ts";
import { type ListedImage, listImages } from "../registry/image-list.ts";
import { createPushProgress } from "../registry/progress.ts";
import { pushImage } from "../registry/push.ts";
import type { Reached } from "../registry/reach.ts";
import { type CommandContext, type CommandRun, createProgram, exitWith, runProgram } from "./program.ts";
import { addRegistryFlags, type RegistryFlags, withRegistry } from "./registry-access.ts";

type PushFlags = RegistryFlags & { readonly docker: string };
type ListFlags = RegistryFlags & { readonly namespace?: string; readonly output: string };

/** `slipway images push|ls`: the user's hand on the local registry, without any configuration of docker. */
export const run: CommandRun = async (context) => {
  const program = createProgram(context, "images", "Push images to the local registry and list them");
  addRegistryFlags(
    program
      .command("push")
      .description("Push an image: a file or folder (OCI layout, docker archive), or an image of the local docker")
      .argument("<FILE|IMAGE>", "tar (also .gz, .zst) or folder, else the name of an image in docker")
      .argument("[NAME]", "<namespace>/<name>[:tag], or <host>/<path>[:tag] for its mirrored path")
      .option("--docker <program>", "program that saves images", "docker"),
  ).action(
    exitWith(program, (source: string, name: string | undefined, flags: PushFlags) =>
      push(context, { source, name, flags }),
    ),
  );
  addRegistryFlags(
    program
      .command("ls")
      .description("List the tags of the local registry")
      .option("-n, --namespace <name>", "only <name>/**")
      .option("-o, --output <format>", "table, json or yaml", "table"),
  ).action(exitWith(program, (flags: ListFlags) => list(context, flags)));
  return runProgram(program, context);
};

type PushRequest = { readonly source: string; readonly name: string | undefined; readonly flags: PushFlags };

async function push(context: CommandContext, request: PushRequest): Promise<number> {
  const { archive, savedAs } = await openSource(context, request);
  try {
    if (request.name !== undefined && archive.images.length > 1) {
      throw new SlipwayError(
        "DESTINATION_AMBIGUOUS",
        `${request.source} holds ${archive.images.length} images; leave NAME out, or save one of them alone`,
      );
    }
    return await withRegistry(request.flags, context, async (reached) => {
      context.stderr.write(`registry ${reached.names[0]} by ${reached.way}\n`);
      for (const image of archive.images) await pushOne(context, reached, { image, name: request.name, savedAs });
      return 0;
    });
  } finally {
    await archive.close();
  }
}

async function openSource(
  context: CommandContext,
  { source, flags }: PushRequest,
): Promise<{ readonly archive: Archive; readonly savedAs: string | undefined }> {
  const isFile = await stat(source).then(
    () => true,
    () => false, // no such file: then it is the name of an image
  );
  if (isFile) return { archive: await openArchive(await openContent(source)), savedAs: undefined };
  if (/^[./~]|\.tar(\.\w+)?$|\.tgz$/.test(source)) {
    throw new SlipwayError("ARCHIVE_INVALID", `${source}: there is no such file`);
  }
  const content = await saveFromDocker({ program: flags.docker, env: context.env, signal: context.stop }, source);
  return { archive: await openArchive(content), savedAs: source };
}

type OneImage = {
  readonly image: ArchiveImage;
  readonly name: string | undefined;
  readonly savedAs: string | undefined;
};

async function pushOne(context: CommandContext, reached: Reached, { image, name, savedAs }: OneImage): Promise<void> {
  for (const note of image.notes) context.stderr.write(`${note}\n`);
  const sources = savedAs !== undefined || image.names.length === 0 ? [savedAs] : image.names;
  const wanted = name === undefined ? sources : sources.slice(0, 1);
  for (const source of wanted) {
    const destination = decideDestination(source, name, reached.names);
    const progress = createPushProgress(context.stderr, systemClock);
    try {
      await pushImage({ client: reached.client, progress, signal: context.stop }, image, destination);
    } finally {
      progress.end();
    }
    context.stderr.write(`${image.root.digest}\n`);
    context.stdout.write(`${reached.names[0]}/${destination.repository}:${destination.tag}\n`);
  }
}

async function list(context: CommandContext, flags: ListFlags): Promise<number> {
  const write = formats[flags.output];
  if (write === undefined) {
    throw new SlipwayError("CONFIG_INVALID", `--output ${flags.output}: use table, json or yaml`);
  }
  return withRegistry(flags, context, async (reached) => {
    const images = await listImages(reached.client, { namespace: flags.namespace, signal: context.stop });
    context.stdout.write(
      write(images.map((image) => ({ image: `${reached.names[0]}/${image.repository}:${image.tag}`, ...image }))),
    );
    return 0;
  });
}

type Row = ListedImage & { readonly image: string };

const formats: Readonly<Record<string, (rows: readonly Row[]) => string>> = {
  json: (rows) => `${JSON.stringify(rows, null, 2)}\n`,
  yaml: (rows) => stringify(rows),
  table: (rows) => {
    const lines = [["REPOSITORY", "TAG", "DIGEST"], ...rows.map((row) => [row.repository, row.tag, row.digest])];
    const widths = [0, 1].map((column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
    return lines.map((line) => `${line.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ")}\n`).join("");
  },
};
