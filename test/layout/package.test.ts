import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { errorCodes } from "../../src/errors.ts";
import { slipwayVersion } from "../../src/version.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const text = (path: string) => readFileSync(join(root, path), "utf8");
const manifest = JSON.parse(text("package.json"));

describe("package.json", () => {
  test("has exactly these runtime dependencies; a further one needs a decision record", () => {
    assert.deepEqual(Object.keys(manifest.dependencies), [
      "@kubernetes/client-node",
      "commander",
      "express",
      "node-forge",
      "pino",
      "prom-client",
      "yaml",
      "zod",
    ]);
  });

  test("pins every dependency to one version", () => {
    const versions = Object.entries({ ...manifest.dependencies, ...manifest.devDependencies });
    assert.deepEqual(
      versions.filter(([, version]) => !/^\d+\.\d+\.\d+$/.test(String(version))),
      [],
    );
  });

  test("has at most ten scripts", () => {
    assert.ok(Object.keys(manifest.scripts).length <= 10, Object.keys(manifest.scripts).join(", "));
  });

  test("says the version that the program prints", () => {
    assert.equal(manifest.version, slipwayVersion);
  });

  test("names both programs", () => {
    assert.deepEqual(Object.keys(manifest.bin), ["slipway", "kubectl-slipway"]);
  });
});

test("the manifests run the image of this version", () => {
  for (const file of ["serve.yaml", "node-agent.yaml"]) {
    const images = text(`manifests/base/${file}`).match(/image: .*/g);
    assert.deepEqual(images, [`image: ghcr.io/slipway-dev/slipway:${slipwayVersion}`], file);
  }
});

describe("the register of errors", () => {
  test("is sorted by code", () => {
    const codes = Object.keys(errorCodes);
    assert.deepEqual(codes, [...codes].sort());
  });

  test("is mirrored by docs/errors.md: every code with its sentence, and no other", () => {
    const rows = [...text("docs/errors.md").matchAll(/^\| `([A-Z_]+)` \| ([^|]+?) \|/gm)];
    assert.deepEqual(Object.fromEntries(rows.map(([, code, sentence]) => [code, sentence])), errorCodes);
  });
});

describe("the linter", () => {
  /** Lints one file with the project's configuration, in a folder of its own: the rule looks at whole projects. */
  function lint(content: string): string {
    const folder = mkdtempSync(join(tmpdir(), "slipway-planted-"));
    try {
      copyFileSync(join(root, "biome.json"), join(folder, "biome.json"));
      writeFileSync(join(folder, "planted.ts"), content);
      const biome = join(root, "node_modules/.bin/biome");
      const args = ["lint", "--vcs-enabled=false", "--reporter=json"];
      const { stdout, stderr } = spawnSync(biome, args, { cwd: folder, encoding: "utf8" });
      return `${stdout}${stderr}`;
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }

  test("finds a promise that nobody waits for", () => {
    const planted =
      "async function work(): Promise<number> {\n  return 1;\n}\nexport function start(): void {\n  work();\n}\n";
    assert.match(lint(planted), /noFloatingPromises/);
    assert.doesNotMatch(
      lint(planted.replace("  work();", "  void work().then(console.log, console.error);")),
      /noFloatingPromises/,
    );
  });
});

describe("top level", () => {
  test("the files of a repository are there", () => {
    const expected = [
      "README.md",
      "LICENSE",
      "CONTRIBUTING.md",
      "CHANGELOG.md",
      "Dockerfile",
      ".dockerignore",
      ".ci/run",
    ];
    assert.deepEqual(
      expected.filter((file) => !existsSync(join(root, file))),
      [],
    );
  });

  test("only .ci/run knows of the kit", () => {
    const { stdout } = spawnSync(
      "grep",
      ["-rlE", "shared/kit", "--include=*", "--exclude-dir=node_modules", "--exclude-dir=.git", "."],
      { cwd: root, encoding: "utf8" },
    );
    const users = stdout.split("\n").filter((file) => file !== "" && !file.startsWith("./test/layout/"));
    assert.deepEqual(users, ["./.ci/run"]);
  });
});
