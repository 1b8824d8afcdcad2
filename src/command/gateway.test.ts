import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { run } from "./gateway.ts";

async function runGateway(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const code = await run({ args, env, stdin: new PassThrough(), stdout, stderr, stop: AbortSignal.abort() });
  return { code, stdout: String(stdout.read() ?? ""), stderr: String(stderr.read() ?? "") };
}

test("--help lists every flag and its variable", async () => {
  const { code, stdout } = await runGateway(["--help"]);
  assert.equal(code, 0);
  for (const word of ["--port", "SLIPWAY_OPERATIONS_PORT", "--distribution-url", "--inject-mode", "--kubeconfig"]) {
    assert.ok(stdout.includes(word), word);
  }
});

const wrong = [
  { name: "an unknown flag", args: ["--ports", "1"], env: {} },
  { name: "a port that is none", args: ["--port", "70000"], env: {} },
  { name: "an address that is no http", args: ["--distribution-url", "https://example.com"], env: {} },
  { name: "a linger that is none", args: ["--linger", "long"], env: {} },
  { name: "a grace that is none", args: ["--grace", "soon"], env: {} },
  { name: "a refusal that is none", args: ["--refuse", "never"], env: {} },
  { name: "an unknown mode", args: ["--inject-mode", "sometimes"], env: {} },
  { name: "an unknown variable", args: [], env: { SLIPWAY_PORTT: "1" } },
];
for (const { name, args, env } of wrong) {
  test(`${name} is one line and exit code 2`, async () => {
    const { code, stderr } = await runGateway(args, env);
    assert.equal(code, 2);
    assert.match(stderr, /^(error: |slipway gateway: )/);
  });
}
