import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { promisify } from "node:util";
import { openContent } from "./open-content.ts";

const call = promisify(execFile);
const longName = `${"d".repeat(90)}/${"e".repeat(90)}/${"f".repeat(120)}`;
const files: Readonly<Record<string, string>> = { short: "one", "a/b/c": "two", empty: "", [longName]: "three" };

async function tarOf(t: TestContext, ...flags: readonly string[]): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "slipway-tar-"));
  t.after(() => rm(folder, { recursive: true }));
  const source = join(folder, "source");
  for (const [name, content] of Object.entries(files)) {
    await mkdir(join(source, name, ".."), { recursive: true });
    await writeFile(join(source, name), content);
  }
  const file = join(folder, "a.tar");
  await call("tar", [...flags, "-cf", file, "-C", source, "."]);
  return file;
}

for (const flags of [["--format=pax"], ["--format=gnu"], ["--format=pax", "-z"]]) {
  test(`every file of a tar is found with its content: ${flags.join(" ")}`, async (t) => {
    const content = await openContent(await tarOf(t, ...flags));
    t.after(content.close);
    for (const [name, text] of Object.entries(files)) {
      assert.equal(content.sizeOf(name), text.length, name);
      assert.equal((await content.read(name)).toString(), text);
    }
    assert.equal(content.sizeOf("absent"), undefined);
  });
}

test("a part of a file can be read", async (t) => {
  const content = await openContent(await tarOf(t));
  t.after(content.close);
  const chunks: Buffer[] = [];
  for await (const chunk of content.open(longName, 1, 3) as AsyncIterable<Buffer>) chunks.push(chunk);
  assert.equal(Buffer.concat(chunks).toString(), "hr");
});

for (const blocks of [0, 1, 3, 6]) {
  test(`a tar that was cut off in block ${blocks} is refused`, async (t) => {
    const file = await tarOf(t, "--format=gnu");
    await truncate(file, blocks * 512 + 100);
    await assert.rejects(openContent(file), { code: "ARCHIVE_INVALID" });
  });
}

test("what is no tar is refused", async (t) => {
  const file = await tarOf(t);
  await writeFile(file, "x".repeat(2_000));
  await assert.rejects(openContent(file), { code: "ARCHIVE_INVALID" });
  await writeFile(file, Buffer.concat([Buffer.from([0x1f, 0x8b]), Buffer.alloc(100, 7)]));
  await assert.rejects(openContent(file), { code: "ARCHIVE_INVALID" });
  await assert.rejects(openContent(`${file}.absent`), { code: "ARCHIVE_INVALID" });
});
