import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { CredentialSource } from "../../src/credential/source.ts";

/** A source under test and the means to change what it reads. */
export type OpenedSource = {
  readonly source: CredentialSource;
  /** Makes the source hold this docker config from now on. */
  fill(dockerConfig: string): Promise<void>;
  /** Takes away what the source reads. */
  clear(): Promise<void>;
};

const password = "d0-n0t-print-me";
const good = (host: string) => JSON.stringify({ auths: { [host]: { username: "u", password } } });

/** What every CredentialSource holds to; `open` gives one that reads nothing yet. */
export function credentialSourceContract(name: string, open: () => Promise<OpenedSource>): void {
  const signal = new AbortController().signal;

  describe(`${name} is a CredentialSource`, () => {
    test("its id and refresh are fixed", async () => {
      const { source } = await open();
      assert.match(source.id, /^[a-z]+\/./);
      assert.ok(source.refreshMs > 0);
    });

    test("it gives logins under canonical keys", async () => {
      const { source, fill } = await open();
      await fill(good("https://registry.example.com/v2/"));
      const reading = await source.read(signal);
      assert.equal(reading.kind, "entries");
      if (reading.kind === "entries") {
        assert.deepEqual(reading.entries, { "registry.example.com": { username: "u", password } });
      }
    });

    test("it follows a change", async () => {
      const { source, fill } = await open();
      await fill(good("one.example.com"));
      await source.read(signal);
      await fill(good("two.example.com"));
      const reading = await source.read(signal);
      assert.deepEqual(reading.kind === "entries" && Object.keys(reading.entries), ["two.example.com"]);
    });

    test("what is not there is a failed reading, and so is what went away", async () => {
      const { source, fill, clear } = await open();
      assert.equal((await source.read(signal)).kind, "failed");
      await fill(good("registry.example.com"));
      assert.equal((await source.read(signal)).kind, "entries");
      await clear();
      assert.equal((await source.read(signal)).kind, "failed");
    });

    for (const [what, content] of [
      ["empty content", ""],
      ["no entries", '{"auths":{}}'],
      ["half a document", `{"auths":{"registry.example.com":{"password":"${password}"`],
      ["nothing usable", `{"auths":{"registry.example.com":{"password":"${password}"}}}`],
    ] as const) {
      test(`${what} is a failed reading that quotes nothing`, async () => {
        const { source, fill } = await open();
        await fill(content);
        const reading = await source.read(signal);
        assert.equal(reading.kind, "failed");
        assert.ok(!JSON.stringify(reading).includes(password));
      });
    }

    test("one bad entry costs only itself, and its finding quotes nothing", async () => {
      const { source, fill } = await open();
      await fill(
        JSON.stringify({
          auths: { "a.example.com": { auth: password }, "b.example.com": { username: "u", password } },
        }),
      );
      const reading = await source.read(signal);
      assert.equal(reading.kind, "entries");
      if (reading.kind !== "entries") return;
      assert.deepEqual(Object.keys(reading.entries), ["b.example.com"]);
      assert.deepEqual(
        reading.findings.map(({ registry }) => registry),
        ["a.example.com"],
      );
      assert.ok(!JSON.stringify(reading.findings).includes(password));
    });
  });
}
