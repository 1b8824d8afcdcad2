import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import * as names from "../../../src/config/names.ts";
import {
  type Answer,
  type Call,
  type Identity,
  serviceAccount,
  startTestCluster,
  type TestCluster,
  until,
} from "./cluster.ts";

const serve = serviceAccount(names.systemNamespace, names.serveAccount);
const gateway = serviceAccount(names.systemNamespace, names.gatewayAccount);
const nodeAgent = serviceAccount(names.nodeNamespace, names.nodeAgentAccount);

let cluster: TestCluster;
before(async () => {
  cluster = await startTestCluster("overlays/default");
  await createNamespace("opted-in", { [names.injectLabel]: "enabled" });
  await createNamespace("plain", {});
  await createNamespace("opted-out", { [names.injectLabel]: "disabled" });
  await policyIsInForce();
});
after(() => cluster.stop());

async function createNamespace(name: string, labels: Record<string, string>): Promise<void> {
  const body = { apiVersion: "v1", kind: "Namespace", metadata: { name, labels } };
  const { status } = await cluster.send({ method: "POST", path: "/api/v1/namespaces", body });
  assert.equal(status, 201);
}

/**
 * Rights and a policy are in force a second or two after they were created: asks until the API server lets serve do
 * what it may, and the policy refuses the rest.
 */
const policyIsInForce = () =>
  until("the ValidatingAdmissionPolicy is in force", async () => {
    const allowed = await applySecret({ namespace: "opted-in", as: serve, dryRun: true });
    const refused = await applySecret({ namespace: "plain", as: serve, dryRun: true });
    return allowed.status === 201 && refused.status === 403;
  });

type SecretCall = {
  readonly namespace: string;
  readonly name?: string;
  readonly type?: string;
  readonly annotations?: Record<string, string>;
  readonly as: Identity;
  readonly dryRun?: boolean;
};

/** As src/namespace writes: a server-side apply, authorised as `patch`, or as `create` with the name. */
function applySecret(call: SecretCall): Promise<Answer> {
  const { namespace, name = names.pullSecretName, type = "kubernetes.io/dockerconfigjson", annotations = {} } = call;
  const data = type === "kubernetes.io/dockerconfigjson" ? { ".dockerconfigjson": btoa('{"auths":{}}') } : {};
  const body = { apiVersion: "v1", kind: "Secret", metadata: { name, annotations }, type, data };
  const path = `/api/v1/namespaces/${namespace}/secrets/${name}?force=true${call.dryRun === true ? "&dryRun=All" : ""}`;
  return cluster.send({ method: "PATCH", path, body, as: call.as });
}

function ask(method: Call["method"], path: string, as: Identity): Promise<Answer> {
  return cluster.send({ method, path, as });
}

describe("serve and Secrets of user namespaces", () => {
  test("it creates, reads, watches, changes and deletes the pull Secret of an opted-in namespace", async () => {
    assert.equal((await applySecret({ namespace: "opted-in", as: serve })).status, 201);
    assert.equal((await applySecret({ namespace: "opted-in", as: serve, annotations: { a: "b" } })).status, 200);
    const path = `/api/v1/namespaces/opted-in/secrets/${names.pullSecretName}`;
    assert.equal((await ask("GET", path, serve)).status, 200);
    assert.equal((await ask("DELETE", path, serve)).status, 200);
  });

  test("it lists and watches the pull Secrets of all namespaces, with a field selector only", async () => {
    const selector = `fieldSelector=metadata.name%3D${names.pullSecretName}`;
    assert.equal((await ask("GET", `/api/v1/secrets?${selector}`, serve)).status, 200);
    assert.equal((await ask("GET", `/api/v1/secrets?${selector}&watch=1&timeoutSeconds=1`, serve)).status, 200);
    assert.equal((await ask("GET", "/api/v1/secrets", serve)).status, 403);
    assert.equal((await ask("GET", "/api/v1/secrets?watch=1&timeoutSeconds=1", serve)).status, 403);
    assert.equal((await ask("GET", "/api/v1/namespaces/opted-in/secrets", serve)).status, 403);
  });

  test("another name is refused for every verb", async () => {
    assert.equal((await applySecret({ namespace: "opted-in", name: "other", as: serve })).status, 403);
    assert.equal((await ask("GET", "/api/v1/namespaces/opted-in/secrets/other", serve)).status, 403);
    assert.equal((await ask("DELETE", "/api/v1/namespaces/opted-in/secrets/other", serve)).status, 403);
    assert.equal((await ask("GET", "/api/v1/secrets?fieldSelector=metadata.name%3Dother", serve)).status, 403);
    assert.equal((await ask("DELETE", "/api/v1/namespaces/opted-in/secrets", serve)).status, 403);
  });

  test("a POST, which cannot be limited by name, is refused even for the right name", async () => {
    const body = { apiVersion: "v1", kind: "Secret", metadata: { name: names.pullSecretName } };
    const path = "/api/v1/namespaces/opted-in/secrets";
    assert.equal((await cluster.send({ method: "POST", path, body, as: serve })).status, 403);
  });

  test("the push Secret is refused without the component", async () => {
    assert.equal((await applySecret({ namespace: "opted-in", name: names.pushSecretName, as: serve })).status, 403);
  });
});

describe("the policy on Secrets that serve writes", () => {
  const refusals: readonly { name: string; call: Omit<SecretCall, "as">; says: RegExp }[] = [
    { name: "a namespace without the label", call: { namespace: "plain" }, says: /only in opted-in namespaces/ },
    { name: "a namespace that opted out", call: { namespace: "opted-out" }, says: /only in opted-in namespaces/ },
    { name: "kube-system", call: { namespace: "kube-system" }, says: /only in opted-in namespaces/ },
    { name: "slipway-node", call: { namespace: names.nodeNamespace }, says: /only in opted-in namespaces/ },
    { name: "another type", call: { namespace: "opted-in", type: "Opaque" }, says: /only Secrets of type/ },
    {
      name: "a token of an account",
      call: {
        namespace: "opted-in",
        type: "kubernetes.io/service-account-token",
        annotations: { "kubernetes.io/service-account.name": "default" },
      },
      says: /only Secrets of type/,
    },
    {
      name: "a service-account annotation on the right type",
      call: { namespace: "opted-in", annotations: { "kubernetes.io/service-account.name": "default" } },
      says: /service-account annotation/,
    },
    {
      name: "a token of an account in its own namespace",
      call: {
        namespace: names.systemNamespace,
        name: "token",
        type: "kubernetes.io/service-account-token",
        annotations: { "kubernetes.io/service-account.name": "serve" },
      },
      says: /of type Opaque and kubernetes.io\/basic-auth/,
    },
    {
      name: "a docker config in its own namespace",
      call: { namespace: names.systemNamespace, name: "own" },
      says: /of type Opaque and kubernetes.io\/basic-auth/,
    },
  ];
  for (const { name, call, says } of refusals) {
    test(`refuses ${name}`, async () => {
      const { status, body } = await applySecret({ ...call, as: serve });
      assert.equal(status, 403);
      assert.match(body.message, says);
      assert.match(body.message, /slipway-serve-secrets/);
    });
  }

  test("lets an update of a Secret be refused as its creation is", async () => {
    const admin = await applySecret({ namespace: "opted-in", as: admins });
    assert.equal(admin.status, 201);
    const annotations = { "kubernetes.io/service-account.name": "default" };
    assert.equal((await applySecret({ namespace: "opted-in", annotations, as: serve })).status, 403);
    assert.equal((await ask("DELETE", pullSecretPath("opted-in"), serve)).status, 200);
  });

  test("lets serve delete the pull Secret of a namespace that is no longer opted in", async () => {
    assert.equal((await applySecret({ namespace: "plain", as: admins })).status, 201);
    assert.equal((await ask("DELETE", pullSecretPath("plain"), serve)).status, 200);
  });

  test("lets serve write what it needs in its own namespace", async () => {
    for (const type of ["Opaque", "kubernetes.io/basic-auth"]) {
      const name = `own-${type.toLowerCase().replaceAll(/[^a-z]/g, "-")}`;
      const data = type === "Opaque" ? {} : { username: btoa("a"), password: btoa("b") };
      const body = { apiVersion: "v1", kind: "Secret", metadata: { name }, type, data };
      const path = `/api/v1/namespaces/${names.systemNamespace}/secrets/${name}`;
      const { status } = await cluster.send({ method: "PATCH", path, body, as: serve });
      assert.equal(status, 201, type);
    }
  });

  test("concerns nobody but serve", async () => {
    assert.equal((await applySecret({ namespace: "plain", name: "mine", type: "Opaque", as: admins })).status, 201);
  });
});

const admins: Identity = { user: "somebody", groups: ["system:masters", "system:authenticated"] };

function pullSecretPath(namespace: string): string {
  return `/api/v1/namespaces/${namespace}/secrets/${names.pullSecretName}`;
}

type Review = { readonly verb: string; readonly resource: string; readonly group?: string; readonly name?: string };

async function isAllowed(as: Identity, namespace: string, review: Review): Promise<boolean> {
  const [resource, subresource] = review.resource.split("/");
  const resourceAttributes = {
    namespace,
    verb: review.verb,
    group: review.group ?? "",
    resource,
    subresource,
    name: review.name,
  };
  const spec = { user: as.user, groups: as.groups, resourceAttributes };
  const path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
  const body = { apiVersion: "authorization.k8s.io/v1", kind: "SubjectAccessReview", spec };
  return (await cluster.send({ method: "POST", path, body })).body.status.allowed;
}

const mutating = "admissionregistration.k8s.io";

describe("what nobody but an administrator may do", () => {
  const refusals: readonly { name: string; as: Identity; namespace: string; review: Review }[] = [
    {
      name: "serve reads another webhook configuration",
      as: serve,
      namespace: "",
      review: { verb: "get", group: mutating, resource: "mutatingwebhookconfigurations", name: "other" },
    },
    {
      name: "serve deletes its webhook configuration",
      as: serve,
      namespace: "",
      review: { verb: "delete", group: mutating, resource: "mutatingwebhookconfigurations", name: "slipway" },
    },
    {
      name: "serve makes tokens of accounts",
      as: serve,
      namespace: names.systemNamespace,
      review: { verb: "create", resource: "serviceaccounts/token", name: "serve" },
    },
    {
      name: "serve changes ServiceAccounts",
      as: serve,
      namespace: "opted-in",
      review: { verb: "patch", resource: "serviceaccounts", name: "default" },
    },
    {
      name: "serve changes namespaces",
      as: serve,
      namespace: "",
      review: { verb: "patch", resource: "namespaces", name: "opted-in" },
    },
    {
      name: "serve creates pods in user namespaces",
      as: serve,
      namespace: "opted-in",
      review: { verb: "create", resource: "pods" },
    },
    {
      name: "serve runs commands in the pods of contract checks",
      as: serve,
      namespace: names.checkNamespace,
      review: { verb: "create", resource: "pods/exec" },
    },
    {
      name: "serve changes nodes without the component node-taint",
      as: serve,
      namespace: "",
      review: { verb: "patch", resource: "nodes", name: "a" },
    },
    {
      name: "serve reads Events of user namespaces",
      as: serve,
      namespace: "opted-in",
      review: { verb: "list", group: "events.k8s.io", resource: "events" },
    },
    {
      name: "serve runs commands in its own namespace's pods",
      as: serve,
      namespace: names.systemNamespace,
      review: { verb: "create", resource: "pods/exec" },
    },
    {
      name: "serve changes the node agent",
      as: serve,
      namespace: names.nodeNamespace,
      review: { verb: "patch", group: "apps", resource: "daemonsets", name: "node-agent" },
    },
    {
      name: "serve creates pods on nodes beside the agent",
      as: serve,
      namespace: names.nodeNamespace,
      review: { verb: "create", resource: "pods" },
    },
    {
      name: "serve writes another ConfigMap in slipway-node",
      as: serve,
      namespace: names.nodeNamespace,
      review: { verb: "create", resource: "configmaps", name: "other" },
    },
    {
      name: "serve writes another ConfigMap in kube-public",
      as: serve,
      namespace: "kube-public",
      review: { verb: "create", resource: "configmaps", name: "cluster-info" },
    },
    {
      name: "serve grants rights",
      as: serve,
      namespace: names.systemNamespace,
      review: { verb: "create", group: "rbac.authorization.k8s.io", resource: "rolebindings" },
    },
    {
      name: "serve takes another Lease",
      as: serve,
      namespace: names.systemNamespace,
      review: { verb: "update", group: "coordination.k8s.io", resource: "leases", name: "other" },
    },
    {
      name: "serve deletes custom resources",
      as: serve,
      namespace: "",
      review: { verb: "delete", group: names.group, resource: "pullcredentials", name: "a" },
    },
    {
      name: "the gateway reads credentials of other registries",
      as: gateway,
      namespace: names.systemNamespace,
      review: { verb: "get", resource: "secrets", name: "hub" },
    },
    {
      name: "the gateway reads the compiled configuration",
      as: gateway,
      namespace: names.systemNamespace,
      review: { verb: "get", resource: "secrets", name: names.compiledSecretName },
    },
    {
      name: "the gateway reads the CA's key",
      as: gateway,
      namespace: names.systemNamespace,
      review: { verb: "get", resource: "secrets", name: names.certificateAuthoritySecretName },
    },
    {
      name: "the gateway lists Secrets without a name",
      as: gateway,
      namespace: names.systemNamespace,
      review: { verb: "list", resource: "secrets" },
    },
    {
      name: "the gateway reads pull Secrets",
      as: gateway,
      namespace: "opted-in",
      review: { verb: "get", resource: "secrets", name: names.pullSecretName },
    },
    {
      name: "the gateway writes its keys",
      as: gateway,
      namespace: names.systemNamespace,
      review: { verb: "patch", resource: "secrets", name: names.registryKeysSecretName },
    },
    {
      name: "the gateway changes LocalRegistry",
      as: gateway,
      namespace: "",
      review: { verb: "patch", group: names.group, resource: "localregistries", name: "default" },
    },
    {
      name: "the node agent reads its ConfigMap by the API",
      as: nodeAgent,
      namespace: names.nodeNamespace,
      review: { verb: "get", resource: "configmaps", name: names.caConfigMapName },
    },
    { name: "the node agent reads nodes", as: nodeAgent, namespace: "", review: { verb: "get", resource: "nodes" } },
    {
      name: "the node agent reads Secrets",
      as: nodeAgent,
      namespace: names.nodeNamespace,
      review: { verb: "get", resource: "secrets" },
    },
  ];
  for (const { name, as, namespace, review } of refusals) {
    test(`refused: ${name}`, async () => assert.equal(await isAllowed(as, namespace, review), false));
  }
});

describe("all rights of each account are those of the golden file", () => {
  const places = [
    names.systemNamespace,
    names.nodeNamespace,
    names.checkNamespace,
    names.checkOtherNamespace,
    "kube-public",
    "kube-system",
  ];
  const accounts = { serve, gateway, "node-agent": nodeAgent };
  for (const [account, identity] of Object.entries(accounts)) {
    test(account, async () => {
      const everywhere = await rightsOf(identity, "opted-in");
      const found: Record<string, readonly string[]> = { everywhere };
      for (const place of places) {
        found[place] = (await rightsOf(identity, place)).filter((line) => !everywhere.includes(line));
      }
      const file = fileURLToPath(new URL(`../../fixtures/rights/${account}.json`, import.meta.url));
      const text = `${JSON.stringify(found, null, 2)}\n`;
      if (process.env.UPDATE_GOLDEN === "1") writeFileSync(file, text);
      assert.deepEqual(found, JSON.parse(readFileSync(file, "utf8")));
    });
  }
});

type Rule = { apiGroups?: string[]; resources?: string[]; resourceNames?: string[]; verbs: string[] };

/** What an account may do in a namespace beyond what any account may: one line for each group, resource and name. */
async function rightsOf(as: Identity, namespace: string): Promise<readonly string[]> {
  const anybody = new Set(await rulesOf(serviceAccount("opted-in", "anybody"), namespace));
  return (await rulesOf(as, namespace)).filter((line) => !anybody.has(line)).sort();
}

async function rulesOf(as: Identity, namespace: string): Promise<readonly string[]> {
  const path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews";
  const body = { apiVersion: "authorization.k8s.io/v1", kind: "SelfSubjectRulesReview", spec: { namespace } };
  const answer = await cluster.send({ method: "POST", path, body, as });
  assert.equal(answer.body.status.incomplete, false, answer.body.status.evaluationError);
  return answer.body.status.resourceRules.flatMap((rule: Rule) => linesOf(rule));
}

function linesOf({ apiGroups = [], resources = [], resourceNames = [""], verbs }: Rule): readonly string[] {
  return apiGroups.flatMap((group) =>
    resources.flatMap((resource) =>
      resourceNames.map((name) => {
        const what = [...(group === "" ? [] : [group]), resource, ...(name === "" ? [] : [name])].join(" ");
        return `${what}: ${verbs.join(" ")}`;
      }),
    ),
  );
}
