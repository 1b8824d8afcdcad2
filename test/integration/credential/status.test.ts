import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { KubernetesObject } from "../../../src/cluster/object.ts";
import { resources } from "../../../src/cluster/resource.ts";
import type { PullCredentialStatus } from "../../../src/config/pull-credential.ts";
import { createNamespace, waitMs } from "./cluster.ts";
import { dockerConfig, putSource } from "./controller.ts";
import { within } from "./leader.ts";
import { openStage } from "./stage.ts";

const signal = AbortSignal.timeout(600_000);
const stage = openStage();

async function create(name: string, spec: unknown): Promise<void> {
  await stage().cluster.api.create(resources.pullCredentials, { metadata: { name }, spec } as KubernetesObject, {
    signal,
  });
}

async function statusOf(name: string): Promise<PullCredentialStatus> {
  const object = await stage().cluster.api.get(resources.pullCredentials, { name }, signal);
  return (object.status ?? {}) as PullCredentialStatus;
}

const becomes = (name: string, what: string, look: (status: PullCredentialStatus) => boolean) =>
  within(waitMs, `status of ${name}: ${what}`, async () => {
    const status = await statusOf(name);
    return look(status) ? status : undefined;
  });

test("kubectl get pullcredential shows registries, synced, ready and age", async () => {
  const { cluster } = stage();
  await putSource(cluster.api, "one", dockerConfig({ "x.example.com": "1", "docker.io": "2" }));
  await create("columns", {
    sources: [{ secretRef: { name: "one" } }],
    namespaceSelector: { matchLabels: { of: "columns" } },
  });
  for (const name of ["columns-1", "columns-2"]) {
    await createNamespace(cluster.api, name, { labels: { "slipway.dev/inject": "enabled", of: "columns" } });
  }
  await becomes("columns", "2/2", ({ namespaces }) => namespaces?.summary === "2/2");
  const [header = "", row = ""] = (await cluster.kubectl(["get", "pullcredential", "columns"])).split("\n");
  assert.deepEqual(
    header.split(/\s{2,}/).map((word) => word.trim()),
    ["NAME", "REGISTRIES", "SYNCED", "READY", "AGE"],
  );
  assert.match(row, /^columns\s+\["https:\/\/index\.docker\.io\/v1\/","x\.example\.com"\]\s+2\/2\s+True\s+\d+m?\d*s$/);
  const wide = await cluster.kubectl(["get", "pcred", "columns", "-o", "wide"]);
  assert.match(wide, /SourcesRead/);
});

test("conditions follow the API's conventions, and change their time with their status only", async () => {
  const { cluster } = stage();
  await putSource(cluster.api, "two", dockerConfig({ "y.example.com": "1" }));
  await create("conditions", { sources: [{ secretRef: { name: "two" } }] });
  const { conditions: first = [] } = await becomes(
    "conditions",
    "has conditions",
    ({ conditions }) => conditions !== undefined,
  );
  assert.deepEqual(first.map(({ type, status, reason }) => [type, status, reason]).sort(), [
    ["Conflicted", "False", "NoConflict"],
    ["Ready", "True", "SourcesRead"],
  ]);
  for (const condition of first) {
    assert.equal(condition.observedGeneration, 1);
    assert.match(condition.lastTransitionTime, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
  }
  const timeOf = ({ conditions = [] }: PullCredentialStatus) =>
    conditions.find(({ type }) => type === "Ready")?.lastTransitionTime ?? "";
  await putSource(cluster.api, "two", dockerConfig({ "y.example.com": "1", "z.example.com": "2" }));
  const more = await becomes("conditions", "two registries", ({ registries }) => registries?.length === 2);
  assert.equal(timeOf(more), timeOf({ conditions: first }));
  await within(5_000, "another second", () => (Date.now() - Date.parse(timeOf(more)) > 1_000 ? true : undefined));
  await cluster.api.delete(resources.secrets, { namespace: "slipway-system", name: "two" }, { signal });
  const failed = await becomes("conditions", "SourceFailed", ({ conditions = [] }) =>
    conditions.some(({ reason }) => reason === "SourceFailed"),
  );
  assert.notEqual(timeOf(failed), timeOf(more));
});

test("who loses a key is told whose login comes first", async () => {
  const { cluster } = stage();
  for (const name of ["three", "four"]) await putSource(cluster.api, name, dockerConfig({ "c.example.com": name }));
  await create("conflict-a", { sources: [{ secretRef: { name: "three" } }] });
  await create("conflict-b", { sources: [{ secretRef: { name: "four" } }] });
  const { conflicts, conditions = [] } = await becomes(
    "conflict-b",
    "conflicts",
    (status) => status.conflicts !== undefined,
  );
  assert.deepEqual(conflicts, [{ registry: "c.example.com", winner: "PullCredential conflict-a" }]);
  assert.ok(
    conditions.some(({ type, status, reason }) => type === "Conflicted" && status === "True" && reason === "KeyTaken"),
  );
  assert.equal((await statusOf("conflict-a")).conflicts, undefined);
});

describe("a failure of many namespaces", () => {
  const total = 30;
  const names = Array.from({ length: total }, (_, index) => `failing-${String(index).padStart(2, "0")}`);

  test("is told by at most twenty names, one Event for each, however often it is looked at", async () => {
    const { cluster } = stage();
    await putSource(cluster.api, "five", dockerConfig({ "f.example.com": "1" }));
    await create("failing", {
      sources: [{ secretRef: { name: "five" } }],
      namespaceSelector: { matchLabels: { of: "failing" } },
    });
    for (const name of names) {
      await createNamespace(cluster.api, name, { labels: { of: "failing" } });
      const foreign = { metadata: { name: "slipway-pull", namespace: name }, type: "Opaque" };
      await cluster.transport.json({
        method: "POST",
        path: `/api/v1/namespaces/${name}/secrets`,
        query: { fieldManager: "kubectl-create" },
        body: { apiVersion: "v1", kind: "Secret", ...foreign },
        signal,
      });
      const labels = { "slipway.dev/inject": "enabled" };
      await cluster.api.merge(resources.namespaces, { name }, { metadata: { labels } }, signal);
    }
    const { namespaces } = await becomes(
      "failing",
      "twenty of thirty",
      (status) => status.namespaces?.failing?.length === 20 && status.namespaces.total === total,
    );
    assert.deepEqual([namespaces?.synced, namespaces?.total, namespaces?.summary], [0, total, `0/${total}`]);
    assert.deepEqual(
      namespaces?.failing,
      names.slice(0, 20).map((name) => ({ name, reason: "ForeignSecret" })),
    );
    // Every change of the compiled state is another look at all of them.
    for (const password of ["2", "3", "4"]) {
      const { observedRevision: before = 0 } = await statusOf("failing");
      await putSource(cluster.api, "five", dockerConfig({ "f.example.com": password }));
      await becomes("failing", "a later revision", ({ observedRevision = 0 }) => observedRevision > before);
    }
    // Events go their own way: they are there a moment later than the status.
    const events = await within(waitMs, "an Event for each", async () => {
      const found = (await cluster.api.list(resources.events, {}, signal)).filter(
        ({ reason, metadata }) => reason === "ForeignSecret" && metadata.namespace?.startsWith("failing-"),
      );
      return found.length >= total ? found : undefined;
    });
    assert.deepEqual(events.map(({ metadata }) => metadata.namespace).sort(), names);
    assert.ok(
      events.every(
        ({ type, reportingController }) => type === "Warning" && reportingController === "slipway.dev/serve",
      ),
    );
  });

  test("is a number, and no namespace is a label of a metric", async () => {
    // The two of the first test may not have been looked at since the last change of a login.
    const text = await within(waitMs, "two are in step", async () => {
      const found = await stage().leader().metrics.metrics();
      return /^slipway_credentials_namespaces\{state="synced"\} 2$/m.test(found) ? found : undefined;
    });
    assert.match(text, new RegExp(`^slipway_credentials_namespaces\\{state="failing"\\} ${total}$`, "m"));
    assert.match(text, /^slipway_credentials_revision \d+$/m);
    assert.match(text, /^slipway_credentials_writes_total\{secret="slipway-pull",outcome="created"\} \d+$/m);
    assert.doesNotMatch(text, /failing-\d/);
  });
});

test("a restart of the leader tells nothing anew by other words", async () => {
  const before = await statusOf("failing");
  await stage().leader().stop();
  const leader = stage().start();
  await within(waitMs, "it has looked at everything", async () =>
    (await leader.metrics.getSingleMetricAsString("slipway_credentials_namespaces")).includes('{state="failing"} 30')
      ? true
      : undefined,
  );
  assert.deepEqual(await statusOf("failing"), before);
});
