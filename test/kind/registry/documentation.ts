import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

const page = fileURLToPath(new URL("../../../docs/registry.md", import.meta.url));

/** The text of docs/registry.md below a heading, up to the next one: what is tested is what users are told. */
export async function readSection(heading: string): Promise<string> {
  const text = await readFile(page, "utf8");
  const [, rest] = text.split(new RegExp(`^#+ ${heading}$`, "m"));
  assert.ok(rest !== undefined, `docs/registry.md has no heading '${heading}'`);
  return rest.split(/^#+ /m)[0] ?? "";
}

/** The YAML blocks of a section, in order. */
export function yamlBlocks(section: string): readonly string[] {
  return [...section.matchAll(/^```yaml\n([\s\S]*?)^```$/gm)].map(([, block = ""]) => block);
}
