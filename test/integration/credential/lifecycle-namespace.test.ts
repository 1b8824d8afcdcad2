import assert from "node:assert/strict";
import { resources } from "../../../src/cluster/resource.ts";
import { destroyNamespace, findSecret } from "./cluster.ts";
import { both, dockerConfigType, inStep, type Life, type Row, testRows } from "./life.ts";
import { allowSecrets, refuseSecrets, secretsAreRefused } from "./refusal.ts";
import { openStage } from "./stage.ts";

const signal = AbortSignal.timeout(900_000);
const notYetServed = (life: Life) => life.createNamespace({ labels: { "slipway.dev/inject": "disabled" } });
const serve = (life: Life) => life.label({ "slipway.dev/inject": "enabled" });

/** The rows about namespaces of the table in docs/credentials.md. */
const rows: readonly Row[] = [
  {
    name: "created with the label: the Secret is written, marked and typed",
    before: async () => undefined,
    event: (life) => life.createNamespace(),
    async after(life) {
      const { type, metadata } = await life.holds(both);
      assert.equal(type, dockerConfigType);
      assert.equal(metadata.labels?.["app.kubernetes.io/managed-by"], "slipway");
      assert.equal(metadata.ownerReferences, undefined);
      assert.equal(metadata.finalizers, undefined);
    },
  },
  { name: "labelled: written", before: notYetServed, event: serve, after: (life) => life.holds(both) },
  {
    name: "labelled no longer: our Secret is removed",
    event: (life) => life.label({ "slipway.dev/inject": null }),
    after: (life) => life.isAbsent(),
  },
  {
    name: "annotated with the names of other PullCredentials: changed, and removed when nothing is left",
    event: (life) => life.annotate({ "slipway.dev/credentials": "nothing-of-this-name" }),
    async after(life) {
      await life.isAbsent();
      await life.annotate({ "slipway.dev/credentials": `other, ${life.credential}` });
      await life.holds(both);
      await life.annotate({ "slipway.dev/credentials": "" });
      await life.isAbsent();
      await life.annotate({ "slipway.dev/credentials": null });
      await life.holds(both);
    },
  },
  {
    name: "labelled so that no PullCredential selects it: our Secret is removed, and comes back with the label",
    event: (life) => life.label({ row: null }),
    async after(life) {
      await life.isAbsent();
      await life.label({ row: life.credential });
      await life.holds(both);
    },
  },
  {
    name: "terminating: left alone",
    async event(life) {
      await life.api.delete(resources.namespaces, { name: life.namespace }, { signal });
      await life.deleteSecret();
    },
    async after(life) {
      await life.reachesAnother(both);
      assert.equal(await life.secret(), undefined);
      await life.isNotFailing();
    },
  },
  {
    name: "deleted and made again under the same name: written anew",
    async event(life) {
      await destroyNamespace(life.cluster, life.namespace);
      await life.createNamespace();
    },
    async after(life) {
      const { metadata } = await life.holds(both);
      assert.notEqual(metadata.uid, life.notes.get("uid"));
      const { uid } = (await life.api.get(resources.namespaces, { name: life.namespace }, signal)).metadata;
      assert.equal(metadata.annotations?.["slipway.dev/namespace-uid"], uid);
    },
  },
  {
    name: "gone in the middle of a write: done, no failure, and no other namespace suffers",
    async before(life) {
      const write = `PATCH /api/v1/namespaces/${life.namespace}/secrets/slipway-pull`;
      life.proxy.use({ on: write, times: 1, fault: "hang" });
      await life.createNamespace();
      await life.proxy.seen(write);
    },
    async event(life) {
      await destroyNamespace(life.cluster, life.namespace);
      life.proxy.cut();
    },
    async after(life) {
      await life.reachesAnother(both);
      await life.isNotFailing();
      assert.equal(await findSecret(life.api, life.namespace), undefined);
    },
  },
  {
    name: "without room in its ResourceQuota: told, tried again, and no other namespace waits for it",
    before: notYetServed,
    async event(life) {
      const quotas = `/api/v1/namespaces/${life.namespace}/resourcequotas`;
      const spec = { hard: { secrets: "0" } };
      const body = { apiVersion: "v1", kind: "ResourceQuota", metadata: { name: "none" }, spec };
      const created = (await life.transport.json({ method: "POST", path: quotas, body, signal })) as object;
      const status = { ...spec, used: { secrets: "0" } };
      await life.transport.json({ method: "PUT", path: `${quotas}/none/status`, body: { ...created, status }, signal });
      await secretsAreRefused(life, life.namespace);
      await serve(life);
    },
    async after(life) {
      await life.isFailing("QuotaExceeded");
      await life.isTold("QuotaExceeded");
      await life.reachesAnother(both);
      const path = `/api/v1/namespaces/${life.namespace}/resourcequotas/none`;
      await life.transport.json({ method: "DELETE", path, signal });
      await life.holds(both);
      await life.isNotFailing();
    },
  },
  {
    name: "under an admission policy that refuses Secrets: told, tried again, and no other namespace waits for it",
    before: notYetServed,
    async event(life) {
      await refuseSecrets(life, life.credential, life.namespace);
      await serve(life);
    },
    async after(life) {
      await life.isFailing("PolicyDenied");
      await life.isTold("PolicyDenied");
      await life.reachesAnother(both);
      await allowSecrets(life, life.credential);
      await life.holds(both);
      await life.isNotFailing();
    },
  },
  {
    name: "a push Secret asked for, and no registry that could be pushed to: none is written",
    before: inStep,
    event: (life) => life.annotate({ "slipway.dev/push": "enabled" }),
    async after(life) {
      await life.reachesAnother(both);
      await life.isAbsent("slipway-push");
    },
  },
];

testRows("a namespace is", rows, openStage());
