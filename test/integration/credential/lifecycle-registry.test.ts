import assert from "node:assert/strict";
import { resources } from "../../../src/cluster/resource.ts";
import { destroyNamespace, findSecret, passwordsOf, waitMs } from "./cluster.ts";
import { dockerConfig } from "./controller.ts";
import { within } from "./leader.ts";
import { both, dockerConfigType, type Life, type Row, testRows } from "./life.ts";
import { openStage } from "./stage.ts";

const signal = AbortSignal.timeout(900_000);
const host = "builds.example.com:5000";

/** The login of the local registry in the namespace's pull Secret, once there is one. */
const loginOf = (life: Life, name = "slipway-pull") =>
  within(waitMs, `a login of ${host} in ${name}`, async () => {
    const secret = await findSecret(life.api, life.namespace, name);
    const passwords = passwordsOf(secret);
    const { [host]: password, ...others } = passwords;
    return secret !== undefined && password !== undefined ? { secret, password, others } : undefined;
  });

/** Until the row's own sources are compiled the Secret has the registry's login alone. */
async function withLogin(life: Life): Promise<void> {
  await life.createNamespace();
  await within(waitMs, "the Secret has every login", async () => {
    const { password, others } = await loginOf(life);
    life.notes.set("password", password);
    return Object.keys(pick(others)).length === Object.keys(both).length ? true : undefined;
  });
}

/** The rows that need a local registry. */
const rows: readonly Row[] = [
  {
    name: "deleted and made again under the same name: it gets another login",
    before: withLogin,
    async event(life) {
      await destroyNamespace(life.cluster, life.namespace);
      await life.createNamespace();
    },
    async after(life) {
      const { password, others } = await loginOf(life);
      assert.notEqual(password, life.notes.get("password"));
      assert.deepEqual(pick(others), both);
    },
  },
  {
    name: "annotated for pushes: the push Secret comes, and goes with the annotation",
    before: withLogin,
    event: (life) => life.annotate({ "slipway.dev/push": "enabled" }),
    async after(life) {
      const { secret, password } = await loginOf(life, "slipway-push");
      assert.equal(secret.type, dockerConfigType);
      assert.notEqual(password, life.notes.get("password"));
      assert.deepEqual(pick(passwordsOf(secret)), {});
      await life.annotate({ "slipway.dev/push": null });
      await life.isAbsent("slipway-push");
      assert.equal((await loginOf(life)).password, life.notes.get("password"));
    },
  },
  {
    name: "given a login of the local registry by a source: that entry is left out, the others are served",
    before: withLogin,
    event: (life) =>
      life.source("one", dockerConfig({ [host]: "theirs", [`${host}/team`]: "theirs", "x.example.com": "new" })),
    async after(life) {
      await life.isReady("False", "LocalRegistryKey", /builds\.example\.com:5000 names the local registry/);
      await within(waitMs, "the other entry is there", async () => {
        const { password, others } = await loginOf(life);
        assert.equal(password, life.notes.get("password"));
        assert.equal(others[`${host}/team`], undefined);
        return others["x.example.com"] === "new" ? true : undefined;
      });
    },
  },
  {
    name: "selected by nothing any more: the Secret stays for the local registry",
    before: withLogin,
    event: (life) => life.label({ row: null }),
    async after(life) {
      await within(waitMs, "the other logins have left", async () => {
        const { password, others } = await loginOf(life);
        assert.equal(password, life.notes.get("password"));
        return Object.keys(pick(others)).length === 0 ? true : undefined;
      });
    },
  },
];

/** What is not the local registry's. */
function pick(passwords: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(passwords).filter(([key]) => key in both));
}

testRows(
  "beside a local registry a namespace is",
  rows,
  openStage({
    prepare: (api) => {
      const spec = { external: { url: `https://${host}` }, nodeAccess: "External" };
      return api.create(resources.localRegistries, { metadata: { name: "default" }, spec }, { signal });
    },
  }),
);
