import assert from "node:assert/strict";
import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { SlipwayError } from "../src/errors.ts";
import { findConformanceProgram, suiteCommit } from "./conformance-program.ts";

async function emptyFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "slipway-conformance-test-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

async function folderWith(t: TestContext, scripts: Readonly<Record<string, string>>): Promise<string> {
  const folder = await emptyFolder(t);
  for (const [name, text] of Object.entries(scripts)) {
    await writeFile(join(folder, name), `#!/bin/sh\n${text}\n`);
    await chmod(join(folder, name), 0o755);
  }
  return folder;
}

const quiet = () => undefined;
const code = (wanted: string) => (error: unknown) => error instanceof SlipwayError && error.code === wanted;
/** Makes the folder that it is told to clone into. */
const git =
  'case "$1" in clone) /bin/mkdir -p "$5/conformance" && echo "$4" > "$5/url";; -C) echo "$6" > "$2/commit";; esac';
/** Writes what it was built from into the program. */
const go = `[ "$1" = version ] || { { echo '#!/bin/sh'; /bin/cat ../url ../commit | /bin/sed 's/^/# /'; } > "$5" && /bin/chmod +x "$5"; }`;

describe("the program of the conformance suite", () => {
  test("is the one that OCI_CONFORMANCE names", async (t) => {
    const program = join(await folderWith(t, { suite: "exit 0" }), "suite");
    assert.equal(await findConformanceProgram({ OCI_CONFORMANCE: program }, quiet), program);
  });

  test("OCI_CONFORMANCE with nothing behind it is an error, and nothing is built instead", async () => {
    await assert.rejects(findConformanceProgram({ OCI_CONFORMANCE: "/nowhere/suite" }, quiet), code("PROGRAM_MISSING"));
  });

  test("is built from the public source at its commit, once", async (t) => {
    const cache = await emptyFolder(t);
    const env = { PATH: await folderWith(t, { git, go }), XDG_CACHE_HOME: cache };
    const program = await findConformanceProgram(env, quiet);
    assert.deepEqual((await readFile(program, "utf8")).split("\n").slice(1, 3), [
      "# https://github.com/opencontainers/distribution-spec",
      `# ${suiteCommit}`,
    ]);
    assert.deepEqual(await readdir(join(cache, "slipway")), [`conformance-${suiteCommit.slice(0, 12)}`]);
    assert.equal(await findConformanceProgram({ PATH: "", XDG_CACHE_HOME: cache }, quiet), program);
  });

  test("a build that fails leaves nothing behind and says what was said", async (t) => {
    const cache = await emptyFolder(t);
    const refusing = 'case "$1" in clone) echo "could not resolve host" >&2; exit 128;; esac';
    const env = { PATH: await folderWith(t, { git: refusing, go }), XDG_CACHE_HOME: cache };
    await assert.rejects(findConformanceProgram(env, quiet), (error) => {
      assert.ok(code("PROGRAM_FAILED")(error));
      assert.match(String(error), /could not resolve host/);
      return true;
    });
    assert.deepEqual(await readdir(join(cache, "slipway")), []);
  });

  for (const [missing, there] of [
    ["git", { go }],
    ["go", { git }],
  ] as const) {
    test(`without ${missing} it says so`, async (t) => {
      const env = { PATH: await folderWith(t, there), XDG_CACHE_HOME: await emptyFolder(t) };
      await assert.rejects(findConformanceProgram(env, quiet), (error) => {
        assert.ok(code("PROGRAM_MISSING")(error));
        assert.match(String(error), new RegExp(`\\b${missing} is needed`));
        return true;
      });
    });
  }
});
