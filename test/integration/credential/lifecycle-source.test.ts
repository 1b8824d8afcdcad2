import assert from "node:assert/strict";
import { ApiError } from "../../../src/cluster/api.ts";
import { resources } from "../../../src/cluster/resource.ts";
import { waitMs } from "./cluster.ts";
import { dockerConfig } from "./controller.ts";
import { within } from "./leader.ts";
import { both, inStep, type Life, type Row, testRows } from "./life.ts";
import { openStage } from "./stage.ts";

const signal = AbortSignal.timeout(900_000);
const secondChanged = { ...both, "y.example.com": "new" };
const changeSecond = (life: Life) => life.source("two", dockerConfig({ "y.example.com": "new" }));
const inPlace = async (life: Life, want: Readonly<Record<string, string>>) =>
  assert.equal((await life.holds(want)).metadata.uid, life.notes.get("uid"));

/** What a source may become while another one changes: its last good logins stay, and it is told by name. */
const faults: readonly {
  readonly name: string;
  readonly event: (life: Life) => Promise<unknown>;
  readonly told: RegExp;
}[] = [
  { name: "deleted", event: (life) => life.dropSource("one"), told: /-one does not exist/ },
  {
    name: "emptied",
    event: (life) => life.source("one", '{"auths":{}}'),
    told: /-one, key \.dockerconfigjson: holds no login/,
  },
  {
    name: "corrupt in its only entry",
    event: (life) => life.source("one", '{"auths":{"x.example.com":{"auth":"%"}}}'),
    told: /-one, key \.dockerconfigjson: x\.example\.com: auth is not base64/,
  },
  {
    name: "corrupt as a whole",
    event: (life) => life.source("one", "a-password: [", { type: "Opaque", key: "REGISTRY_CREDENTIALS" }),
    told: /-one, key REGISTRY_CREDENTIALS: is neither YAML nor JSON/,
  },
  {
    name: "of another type",
    event: (life) => life.source("one", "a-password", { type: "example.com/other", key: "value" }),
    told: /-one has type example\.com\/other; use/,
  },
  {
    name: "without its key",
    event: (life) => life.source("one", "a-password", { type: "Opaque", key: "other" }),
    told: /-one has no key REGISTRY_CREDENTIALS/,
  },
];

const faultRows: readonly Row[] = faults.map(({ name, event, told }) => ({
  name: `${name} while another changes: its last good logins stay, the other is followed`,
  event: (life) => Promise.all([event(life), changeSecond(life)]),
  async after(life) {
    await inPlace(life, secondChanged);
    await life.isReady("False", "SourceFailed", told);
    await life.isReady("False", "SourceFailed", /its last good logins are used/);
    assert.doesNotMatch(JSON.stringify(await life.status()), /a-password/);
    await life.reachesAnother(secondChanged);
    await life.source("one", dockerConfig({ "x.example.com": "back" }));
    await inPlace(life, { ...secondChanged, "x.example.com": "back" });
    await life.isReady("True", "SourcesRead");
  },
}));

/** The rows about sources of the table in docs/credentials.md. */
const rows: readonly Row[] = [
  {
    name: "changed: every namespace follows in place",
    event: changeSecond,
    async after(life) {
      await inPlace(life, secondChanged);
      await within(waitMs, "all are counted as synced", async () => {
        const { namespaces } = await life.status();
        return namespaces?.summary === "1/1" ? true : undefined;
      });
    },
  },
  ...faultRows,
  {
    name: "one good entry and one that became unusable: the last good login of that one stays",
    async before(life) {
      await life.source("one", dockerConfig({ "w.example.com": "0", "x.example.com": "1" }));
      await life.createNamespace();
      await life.holds({ "w.example.com": "0", ...both });
    },
    event: (life) =>
      life.source(
        "one",
        JSON.stringify({
          auths: {
            "w.example.com": { username: "u", password: "new" },
            "x.example.com": { auth: "a-password" },
            "z.example.com": { identitytoken: "a-password" },
          },
        }),
      ),
    async after(life) {
      await life.holds({ "w.example.com": "new", ...both });
      await life.isReady("False", "EntryInvalid", /-one, key \.dockerconfigjson: x\.example\.com: auth is not base64/);
      await life.isReady("False", "EntryInvalid", /z\.example\.com: holds only an identity token/);
      assert.doesNotMatch(JSON.stringify(await life.status()), /a-password/);
    },
  },
  {
    name: "an entry taken out of it: its login goes",
    async before(life) {
      await life.source("one", dockerConfig({ "w.example.com": "0", "x.example.com": "1" }));
      await life.createNamespace();
      await life.holds({ "w.example.com": "0", ...both });
    },
    event: (life) => life.source("one", dockerConfig({ "x.example.com": "1" })),
    after: (life) => life.holds(both),
  },
  {
    name: "taken out of the PullCredential: its logins go, in place",
    event: (life) => life.respec([{ secretRef: { name: `${life.credential}-two` } }]),
    after: (life) => inPlace(life, { "y.example.com": "2" }),
  },
  {
    name: "larger than all PullCredentials together may be: its last good logins stay, another is followed",
    event: (life) =>
      Promise.all([life.source("one", dockerConfig({ "x.example.com": "p".repeat(460 * 1024) })), changeSecond(life)]),
    async after(life) {
      await inPlace(life, secondChanged);
      await life.isReady("False", "TooLarge", /-one: .*its last good logins are used/);
      await life.reachesAnother(secondChanged);
      await life.source("one", dockerConfig({ "x.example.com": "1" }));
      await life.isReady("True", "SourcesRead");
      await inPlace(life, secondChanged);
    },
  },
  {
    name: "named by a PullCredential that does not fit its schema: its last good state stays",
    before: async (life) => {
      await loosenSchema(life);
      await inStep(life);
    },
    event: (life) =>
      life.api.merge(
        resources.pullCredentials,
        { name: life.credential },
        { spec: { sources: [{ secretRef: { name: 7 } }] } },
        signal,
      ),
    async after(life) {
      await life.isReady("False", "SpecInvalid", /the last good state is used/);
      await life.reachesAnother(both);
      await inPlace(life, both);
      await life.respec([{ secretRef: { name: `${life.credential}-two` } }]);
      await inPlace(life, { "y.example.com": "2" });
    },
  },
  {
    name: "of a PullCredential that is deleted: its logins go, the Secret with the last of them, and then the object",
    event: (life) => life.api.delete(resources.pullCredentials, { name: life.credential }, { signal }),
    async after(life) {
      await life.isAbsent();
      await within(waitMs, "the object is gone", () =>
        life.status().then(
          () => undefined,
          () => true,
        ),
      );
    },
  },
];

function unlessConflict(error: unknown): undefined {
  if (!(error instanceof ApiError && error.status === 409)) throw error;
}

/** As a CRD of another version may be: what is in `spec` is not looked at. */
async function loosenSchema(life: Life): Promise<void> {
  const path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/pullcredentials.slipway.dev";
  await within(waitMs, "nobody else has changed the definition meanwhile", async () => {
    const crd = (await life.transport.json({ method: "GET", path, signal })) as {
      spec: { versions: { schema: { openAPIV3Schema: { properties: Record<string, unknown> } } }[] };
    };
    const [version] = crd.spec.versions;
    assert.ok(version !== undefined);
    version.schema.openAPIV3Schema.properties.spec = { type: "object", "x-kubernetes-preserve-unknown-fields": true };
    return life.transport.json({ method: "PUT", path, body: crd, signal }).catch(unlessConflict);
  });
  const probe = {
    apiVersion: "slipway.dev/v1alpha1",
    kind: "PullCredential",
    metadata: { name: "probe" },
    spec: { sources: [{ secretRef: { name: 7 } }] },
  };
  await within(waitMs, "the schema is loose", () =>
    life.api.create(resources.pullCredentials, probe, { dryRun: true, signal }).then(
      () => true,
      () => undefined,
    ),
  );
}

testRows("a source is", rows, openStage());
