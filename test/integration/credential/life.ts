import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { ApiTransport, ClusterApi } from "../../../src/cluster/api.ts";
import type { KubernetesObject } from "../../../src/cluster/object.ts";
import { resources } from "../../../src/cluster/resource.ts";
import { unlessMissing } from "../../../src/cluster/unless-missing.ts";
import type { Condition } from "../../../src/config/condition.ts";
import type { CredentialSourceSpec, PullCredentialStatus } from "../../../src/config/pull-credential.ts";
import type { FakeApi } from "../../fake/api-server.ts";
import { createNamespace, findSecret, passwordsOf, type TestCluster, waitMs } from "./cluster.ts";
import { dockerConfig } from "./controller.ts";
import { type RunningLeader, within } from "./leader.ts";

export const dockerConfigType = "kubernetes.io/dockerconfigjson";
export const encode = (text: string) => Buffer.from(text).toString("base64");
const signal = AbortSignal.timeout(900_000);

/** One row of the table in docs/credentials.md: what is there, what happens, what holds afterwards. */
export type Row = {
  readonly name: string;
  /** Without it there is an opted-in namespace that holds both logins. */
  readonly before?: (life: Life) => Promise<unknown>;
  readonly event: (life: Life) => Promise<unknown>;
  readonly after: (life: Life) => Promise<unknown>;
};

/** What a row acts on: a PullCredential of two sources and a namespace that it selects, all its own. */
export type Life = {
  readonly cluster: TestCluster;
  readonly api: ClusterApi;
  readonly transport: ApiTransport;
  /** Between the leader and the API server. */
  readonly proxy: FakeApi;
  readonly namespace: string;
  /** The PullCredential; its sources are Secrets `<credential>-one` and `<credential>-two`. */
  readonly credential: string;
  /** What a test notes in one step for the next. */
  readonly notes: Map<string, string>;
  createNamespace(metadata?: Partial<KubernetesObject["metadata"]>): Promise<KubernetesObject>;
  label(labels: Readonly<Record<string, string | null>>): Promise<unknown>;
  annotate(annotations: Readonly<Record<string, string | null>>): Promise<unknown>;
  secret(): Promise<KubernetesObject | undefined>;
  /** Waits until the pull Secret holds exactly these logins. */
  holds(want: Readonly<Record<string, string>>): Promise<KubernetesObject>;
  isAbsent(name?: string): Promise<unknown>;
  /** Edits our Secret as somebody with kubectl does. */
  edit(patch: unknown): Promise<unknown>;
  deleteSecret(): Promise<void>;
  /** Somebody creates a Secret of our name. */
  place(secret: Record<string, unknown>, labels?: Readonly<Record<string, string>>): Promise<KubernetesObject>;
  /** Creates or replaces a source Secret. */
  source(which: string, content: string, options?: { readonly type?: string; readonly key?: string }): Promise<void>;
  dropSource(which: string): Promise<void>;
  respec(sources: readonly CredentialSourceSpec[]): Promise<unknown>;
  status(): Promise<PullCredentialStatus>;
  /** Waits for the condition Ready; its message must match. */
  isReady(status: "True" | "False", reason: string, message?: RegExp): Promise<unknown>;
  /** Waits until status tells that the namespace cannot be brought in step, and why. */
  isFailing(reason: string): Promise<unknown>;
  isNotFailing(): Promise<unknown>;
  /** Waits for an Event in the namespace. */
  isTold(reason: string): Promise<KubernetesObject>;
  /** Another namespace that the PullCredential selects has been created and got these logins: the leader has looked. */
  reachesAnother(want: Readonly<Record<string, string>>): Promise<unknown>;
};

export const both = { "x.example.com": "1", "y.example.com": "2" };

/** What rows need of the test file that runs them. */
export type Stage = {
  readonly cluster: TestCluster;
  readonly proxy: FakeApi;
  readonly leader: () => RunningLeader;
  readonly start: () => RunningLeader;
};

/** Makes every row three tests: while a leader runs, while none does, and while one takes over from another. */
export function testRows(title: string, rows: readonly Row[], stage: () => Stage): void {
  let count = 0;
  const lead = async (change: () => Promise<unknown>) => {
    await stage().leader().stop();
    await change();
    stage().start();
  };
  const moments: readonly { readonly name: string; readonly happen: (event: () => Promise<unknown>) => unknown }[] = [
    { name: "while a leader runs", happen: (event) => event() },
    { name: "while no leader runs", happen: (event) => lead(event) },
    { name: "while the leader restarts", happen: (event) => Promise.all([lead(async () => undefined), event()]) },
  ];
  describe(title, () => {
    for (const row of rows) {
      for (const moment of moments) {
        test(`${row.name}, ${moment.name}`, async () => {
          const life = await createLife(stage(), `row-${title.replace(/[^a-z]+/g, "-")}-${++count}`);
          await (row.before ?? inStep)(life);
          await moment.happen(() => row.event(life));
          await row.after(life);
          assert.equal(stage().leader().failed(), undefined);
          await cleanUp(life);
        });
      }
    }
  });
}

export async function inStep(life: Life): Promise<void> {
  await life.createNamespace();
  life.notes.set("uid", (await life.holds(both)).metadata.uid ?? "");
}

/** A row that is over must not be in the way of the next. */
async function cleanUp(life: Life): Promise<void> {
  const address = { name: life.credential };
  await unlessMissing(life.api.delete(resources.pullCredentials, address, { signal }));
  await within(waitMs, `PullCredential ${life.credential} is gone`, async () =>
    (await unlessMissing(life.api.get(resources.pullCredentials, address, signal))) === undefined ? true : undefined,
  );
}

async function createLife(stage: Stage, id: string): Promise<Life> {
  const { cluster, proxy } = stage;
  const { api, transport } = cluster;
  const namespace = `${id}-ns`;
  const labels = { "slipway.dev/inject": "enabled", row: id };
  const secretPath = `/api/v1/namespaces/${namespace}/secrets`;
  let others = 0;

  const source: Life["source"] = async (
    which,
    content,
    { type = dockerConfigType, key = ".dockerconfigjson" } = {},
  ) => {
    const address = { namespace: "slipway-system", name: `${id}-${which}` };
    const found = await unlessMissing(api.get(resources.secrets, address, signal));
    if (found !== undefined && found.type !== type) await api.delete(resources.secrets, address, { signal });
    const secret = { metadata: address, type, data: { [key]: encode(content) } };
    await api.apply(resources.secrets, secret, { force: true, signal });
  };
  const status = async (): Promise<PullCredentialStatus> =>
    ((await api.get(resources.pullCredentials, { name: id }, signal)).status ?? {}) as PullCredentialStatus;
  const failures = async () =>
    ((await status()).namespaces?.failing ?? []).flatMap(({ name, reason }) => (name === namespace ? [reason] : []));
  const holdsIn = (name: string, want: Readonly<Record<string, string>>) =>
    within(waitMs, `${name} holds ${JSON.stringify(want)}`, async () => {
      const secret = await findSecret(api, name);
      const isSame = JSON.stringify(passwordsOf(secret)) === JSON.stringify(want);
      return secret !== undefined && isSame ? secret : undefined;
    });

  await source("one", dockerConfig({ "x.example.com": "1" }));
  await source("two", dockerConfig({ "y.example.com": "2" }));
  await api.create(
    resources.pullCredentials,
    {
      apiVersion: "slipway.dev/v1alpha1",
      kind: "PullCredential",
      metadata: { name: id },
      spec: {
        sources: [{ secretRef: { name: `${id}-one` } }, { secretRef: { name: `${id}-two` } }],
        namespaceSelector: { matchLabels: { row: id } },
      },
    },
    { signal },
  );
  return {
    cluster,
    api,
    transport,
    proxy,
    namespace,
    credential: id,
    notes: new Map(),
    createNamespace: (metadata = {}) =>
      createNamespace(api, namespace, { ...metadata, labels: { ...labels, ...metadata.labels } }),
    label: (changed) => api.merge(resources.namespaces, { name: namespace }, { metadata: { labels: changed } }, signal),
    annotate: (annotations) =>
      api.merge(resources.namespaces, { name: namespace }, { metadata: { annotations } }, signal),
    secret: () => findSecret(api, namespace),
    holds: (want) => holdsIn(namespace, want),
    isAbsent: (name = "slipway-pull") =>
      within(waitMs, `${namespace} has no Secret ${name}`, async () =>
        (await findSecret(api, namespace, name)) === undefined ? true : undefined,
      ),
    edit: (patch) =>
      transport.json({
        method: "PATCH",
        path: `${secretPath}/slipway-pull`,
        query: { fieldManager: "kubectl-edit" },
        contentType: "application/merge-patch+json",
        body: patch,
        signal,
      }),
    deleteSecret: () => api.delete(resources.secrets, { namespace, name: "slipway-pull" }, { signal }),
    place: async (secret, marker = {}) =>
      (await transport.json({
        method: "POST",
        path: secretPath,
        query: { fieldManager: "kubectl-create" },
        body: { apiVersion: "v1", kind: "Secret", metadata: { name: "slipway-pull", labels: marker }, ...secret },
        signal,
      })) as KubernetesObject,
    source,
    dropSource: (which) =>
      api.delete(resources.secrets, { namespace: "slipway-system", name: `${id}-${which}` }, { signal }),
    respec: (sources) => api.merge(resources.pullCredentials, { name: id }, { spec: { sources } }, signal),
    status,
    isReady: (wanted, reason, message = /./) =>
      within(waitMs, `${id} is Ready=${wanted} ${reason}`, async () => {
        const ready = (await status()).conditions?.find((condition: Condition) => condition.type === "Ready");
        return ready?.status === wanted && ready.reason === reason && message.test(ready.message) ? true : undefined;
      }),
    isFailing: (reason) =>
      within(waitMs, `${namespace} is told as ${reason}`, async () =>
        (await failures()).includes(reason) ? true : undefined,
      ),
    isNotFailing: () =>
      within(waitMs, `${namespace} fails no longer`, async () => ((await failures()).length === 0 ? true : undefined)),
    isTold: (reason) =>
      within(waitMs, `an Event ${reason} in ${namespace}`, async () =>
        (await api.list(resources.events, { namespace }, signal)).find((event) => event.reason === reason),
      ),
    async reachesAnother(want) {
      const name = `${id}-other-${++others}`;
      await createNamespace(api, name, { labels });
      await holdsIn(name, want);
    },
  };
}
