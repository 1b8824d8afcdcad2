import assert from "node:assert/strict";
import { waitMs } from "./cluster.ts";
import { dockerConfig } from "./controller.ts";
import { within } from "./leader.ts";
import { both, dockerConfigType, encode, inStep, type Life, type Row, testRows } from "./life.ts";
import { openStage } from "./stage.ts";

const marker = "app.kubernetes.io/managed-by";
const isSameObject = async (life: Life, want: Readonly<Record<string, string>>) =>
  assert.equal((await life.holds(want)).metadata.uid, life.notes.get("uid"));
const changedOne = dockerConfig({ "x.example.com": "new" });
const changed = { ...both, "x.example.com": "new" };

/** The rows about our Secret of the table in docs/credentials.md. */
const rows: readonly Row[] = [
  {
    name: "deleted: written again",
    event: (life) => life.deleteSecret(),
    after: (life) => life.holds(both),
  },
  {
    name: "its content edited: repaired in place",
    event: (life) => life.edit({ data: { ".dockerconfigjson": encode(dockerConfig({ "x.example.com": "wrong" })) } }),
    after: (life) => isSameObject(life, both),
  },
  {
    name: "its annotations edited: repaired in place",
    event: (life) =>
      life.edit({ metadata: { annotations: { "slipway.dev/revision": "999999", "slipway.dev/content-hash": "x" } } }),
    async after(life) {
      await within(waitMs, "the annotations are put right", async () => {
        const { annotations = {} } = (await isOurs(life)).metadata;
        const { "slipway.dev/revision": revision, "slipway.dev/content-hash": hash } = annotations;
        return revision !== "999999" && hash !== "x" ? true : undefined;
      });
      await life.isNotFailing();
      await isSameObject(life, both);
    },
  },
  {
    name: "a key added to it: it stays, at the next change too",
    event: (life) => life.edit({ data: { note: encode("theirs") } }),
    async after(life) {
      await life.source("one", changedOne);
      await isSameObject(life, changed);
      const { note } = (await isOurs(life)).data as Record<string, string>;
      assert.equal(note, encode("theirs"));
    },
  },
  {
    name: "its marker removed: it belongs to whoever did that, until the marker is back",
    event: (life) => life.edit({ metadata: { labels: { [marker]: null } } }),
    async after(life) {
      await life.isFailing("ForeignSecret");
      await life.isTold("ForeignSecret");
      await life.source("one", changedOne);
      await life.reachesAnother(changed);
      await life.holds(both);
      await life.edit({ metadata: { labels: { [marker]: "slipway" } } });
      await isSameObject(life, changed);
      await life.isNotFailing();
    },
  },
  {
    name: "made anew with our marker and another type: left alone, and written when it is deleted",
    async event(life) {
      // Whoever comes first of them and a leader that runs makes the Secret: they try until it is theirs.
      for (let theirs: unknown; theirs === undefined; ) {
        await life.deleteSecret().catch(() => undefined);
        const placed = life.place({ type: "Opaque", stringData: { theirs: "x" } }, { [marker]: "slipway" });
        theirs = await placed.catch(() => undefined);
      }
    },
    async after(life) {
      await life.isFailing("SecretTypeChanged");
      await life.isTold("SecretTypeChanged");
      assert.equal((await life.secret())?.type, "Opaque");
      await life.deleteSecret();
      await life.holds(both);
    },
  },
  {
    name: "made immutable: kept while its content is right, then made anew",
    event: (life) => life.edit({ immutable: true }),
    async after(life) {
      await life.reachesAnother(both);
      await isSameObject(life, both);
      await life.source("one", changedOne);
      const replaced = await life.holds(changed);
      assert.notEqual(replaced.metadata.uid, life.notes.get("uid"));
      assert.equal(replaced.immutable, undefined);
    },
  },
  {
    name: "a Secret of somebody else stands in its place: never touched, and ours comes when it goes",
    before: (life) => life.createNamespace({ labels: { "slipway.dev/inject": "disabled" } }),
    async event(life) {
      const theirs = dockerConfig({ "x.example.com": "theirs" });
      const placed = await life.place({ type: dockerConfigType, data: { ".dockerconfigjson": encode(theirs) } });
      life.notes.set("version", placed.metadata.resourceVersion ?? "");
      await life.label({ "slipway.dev/inject": "enabled" });
    },
    async after(life) {
      await life.isFailing("ForeignSecret");
      const { regarding } = await life.isTold("ForeignSecret");
      assert.equal((regarding as { name: string }).name, "slipway-pull");
      assert.equal((await life.secret())?.metadata.resourceVersion, life.notes.get("version"));
      await life.label({ "slipway.dev/inject": null });
      await life.isNotFailing();
      assert.equal((await life.secret())?.metadata.resourceVersion, life.notes.get("version"));
      await life.label({ "slipway.dev/inject": "enabled" });
      await life.deleteSecret();
      await life.holds(both);
    },
  },
  {
    name: "it would pass the size of a Secret: the one that is there stays",
    before: inStep,
    // 440 KiB as a source; in the Secret the password stands twice, once of them in base64.
    event: (life) => life.source("one", dockerConfig({ "x.example.com": "p".repeat(449 * 1024) })),
    async after(life) {
      await life.isFailing("SecretTooLarge");
      await life.isTold("SecretTooLarge");
      await isSameObject(life, both);
      await life.source("one", changedOne);
      await isSameObject(life, changed);
      await life.isNotFailing();
    },
  },
];

async function isOurs(life: Life) {
  const secret = await life.secret();
  assert.ok(secret !== undefined);
  assert.equal(secret.metadata.labels?.[marker], "slipway");
  return secret;
}

testRows("our Secret is", rows, openStage());
