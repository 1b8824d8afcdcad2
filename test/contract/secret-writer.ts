import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { PullSecret } from "../../src/namespace/desired.ts";
import type { ApplyOutcome, SecretVersion, SecretWriter } from "../../src/namespace/secret-writer.ts";

/** A writer under test in a namespace of its own, and what others do there. */
export type OpenedWriter = {
  readonly writer: SecretWriter;
  readonly namespace: string;
  /** Somebody else creates a Secret of our name, without our marker. */
  placeForeign(): Promise<void>;
  /** Somebody else changes the content of the Secret. @returns its new version */
  edit(): Promise<SecretVersion>;
  /** The password under `.dockerconfigjson`, or undefined without a Secret. */
  content(): Promise<string | undefined>;
};

const signal = new AbortController().signal;

function pullSecret(namespace: string, content: string): PullSecret {
  return {
    name: "slipway-pull",
    namespace,
    annotations: {
      "slipway.dev/revision": "1",
      "slipway.dev/content-hash": content,
      "slipway.dev/namespace-uid": "a-uid",
    },
    data: { ".dockerconfigjson": `{"auths":{"registry.example.com":{"password":"${content}","username":"u"}}}` },
    contentHash: content,
    revision: 1,
    namespaceUid: "a-uid",
  };
}

function versionOf(outcome: ApplyOutcome): SecretVersion {
  assert.ok("resourceVersion" in outcome, `no version in ${JSON.stringify(outcome)}`);
  return { uid: outcome.uid, resourceVersion: outcome.resourceVersion };
}

/** What every SecretWriter holds to. */
export function secretWriterContract(name: string, open: () => Promise<OpenedWriter>): void {
  describe(`${name} is a SecretWriter`, () => {
    const opened = async () => {
      const one = await open();
      const apply = (content: string, known?: SecretVersion, force = false) =>
        one.writer.apply({ secret: pullSecret(one.namespace, content), known, force }, signal);
      return { ...one, apply, address: { namespace: one.namespace, name: "slipway-pull" } };
    };

    test("the same bytes twice are one write", async () => {
      const { apply, content } = await opened();
      const created = await apply("one");
      assert.equal(created.kind, "created");
      const again = await apply("one", versionOf(created));
      assert.equal(again.kind, "unchanged");
      assert.deepEqual(versionOf(again), versionOf(created));
      assert.match((await content()) ?? "", /one/);
    });

    test("other bytes are an update of the same Secret", async () => {
      const { apply, content } = await opened();
      const created = versionOf(await apply("one"));
      const updated = await apply("two", created);
      assert.equal(updated.kind, "updated");
      assert.equal(versionOf(updated).uid, created.uid);
      assert.match((await content()) ?? "", /two/);
    });

    test("a Secret that is gone is not made anew by an update", async () => {
      const { apply, writer, address, content } = await opened();
      const created = versionOf(await apply("one"));
      assert.equal((await writer.remove(address, created, signal)).kind, "removed");
      assert.equal((await apply("two", created)).kind, "stale");
      assert.equal(await content(), undefined);
    });

    test("nothing is created over a Secret that appeared meanwhile, somebody else's or our own", async () => {
      const foreign = await opened();
      await foreign.placeForeign();
      const theirs = await foreign.content();
      assert.equal((await foreign.apply("one")).kind, "conflict");
      assert.equal((await foreign.apply("one", undefined, true)).kind, "stale");
      assert.equal(await foreign.content(), theirs);

      const own = await opened();
      await own.apply("newer");
      assert.equal((await own.apply("older", undefined, true)).kind, "stale");
      assert.match((await own.content()) ?? "", /newer/);
    });

    test("a later version is stale and stays, by force too", async () => {
      const { apply, content } = await opened();
      const created = versionOf(await apply("one"));
      await apply("two", created);
      assert.equal((await apply("three", created)).kind, "stale");
      assert.equal((await apply("three", created, true)).kind, "stale");
      assert.match((await content()) ?? "", /two/);
    });

    test("a change by somebody else is undone by force only", async () => {
      const { apply, edit, content } = await opened();
      await apply("one");
      const edited = await edit();
      const before = await content();
      assert.equal((await apply("two", edited)).kind, "conflict");
      assert.equal(await content(), before);
      assert.equal((await apply("two", edited, true)).kind, "updated");
      assert.match((await content()) ?? "", /two/);
    });

    test("only the version that was seen is removed, and what is gone counts as removed", async () => {
      const { apply, edit, writer, address } = await opened();
      const created = versionOf(await apply("one"));
      const edited = await edit();
      assert.equal((await writer.remove(address, created, signal)).kind, "stale");
      assert.equal((await writer.remove(address, edited, signal)).kind, "removed");
      assert.equal((await writer.remove(address, edited, signal)).kind, "removed");
    });

    test("a namespace that does not exist is gone", async () => {
      const { writer, namespace } = await opened();
      const secret = pullSecret(`${namespace}-never-made`, "one");
      assert.equal((await writer.apply({ secret, known: undefined, force: false }, signal)).kind, "gone");
    });
  });
}
