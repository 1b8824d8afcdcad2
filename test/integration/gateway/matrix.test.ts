import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { deriveLogin, type Login } from "../../../src/credential/login.ts";
import {
  adminLogin,
  findDistribution,
  issueCertificates,
  key,
  startGateway,
  startStore,
  type TestGateway,
} from "./harness.ts";
import {
  createRegistryClient,
  manifestType,
  pullLogin,
  pushImage,
  pushLogin,
  type RegistryClient,
} from "./registry-client.ts";

const program = await findDistribution();
const skip = program === undefined ? "no program `registry` (CNCF Distribution 3.1) on PATH" : false;
const exp = Math.floor(Date.now() / 1_000) + 600;
const account = { sub: "system:serviceaccount:team-a:builder", aud: ["slipway"], exp };
const accountToken = `e30.${Buffer.from(JSON.stringify(account)).toString("base64url")}.c2ln`;

const logins: Record<string, Login> = {
  "pull login of team-a": pullLogin("team-a", "uid-a"),
  "push login of team-a": pushLogin("team-a", "uid-a"),
  "shared login": deriveLogin(key, { purpose: "shared" }),
  admin: adminLogin,
  "further user": { username: "ci", password: "ci-password" },
  ServiceAccount: { username: "any", password: accountToken },
};

/** The same table as in docs/registry.md; the reviews of the ServiceAccount allow pull under team-b and on quay.io. */
const matrix: Record<string, Record<string, string>> = {
  "team-a/app": {
    "pull login of team-a": "pull",
    "push login of team-a": "pull push delete",
    "shared login": "",
    admin: "pull push delete",
    "further user": "pull push",
    ServiceAccount: "",
  },
  "team-b/app": {
    "pull login of team-a": "",
    "push login of team-a": "",
    "shared login": "",
    admin: "pull push delete",
    "further user": "",
    ServiceAccount: "pull",
  },
  "docker.io/library/nginx": {
    "pull login of team-a": "pull",
    "push login of team-a": "pull",
    "shared login": "pull",
    admin: "pull push delete",
    "further user": "",
    ServiceAccount: "pull",
  },
  "quay.io/org/app": {
    "pull login of team-a": "",
    "push login of team-a": "",
    "shared login": "",
    admin: "pull push delete",
    "further user": "",
    ServiceAccount: "pull",
  },
  single: {
    "pull login of team-a": "",
    "push login of team-a": "",
    "shared login": "",
    admin: "pull push delete",
    "further user": "",
    ServiceAccount: "",
  },
};

describe("the matrix identity × action × repository, against the real Distribution", { skip }, () => {
  let store: Awaited<ReturnType<typeof startStore>>;
  let gateway: TestGateway;
  let client: RegistryClient;
  before(async () => {
    const certificates = await issueCertificates();
    store = await startStore(program ?? "", certificates.tokenCa);
    gateway = await startGateway({ distributionUrl: store.url, certificates });
    client = createRegistryClient(gateway);
    const username = account.sub;
    gateway.tokens.set(accountToken, {
      kind: "authenticated",
      username,
      uid: "1",
      groups: [],
      extra: {},
      audiences: ["slipway"],
    });
    gateway.allow = ({ resourceAttributes: { verb, namespace, name } }) =>
      verb === "pull" && (namespace === "team-b" || (namespace === undefined && name === "quay.io/org/app"));
  });
  after(async () => {
    client.close();
    await gateway.stop();
    await store.stop();
  });

  for (const [repository, row] of Object.entries(matrix)) {
    for (const [name, want] of Object.entries(row)) {
      test(`${name} on ${repository}: ${want || "nothing"}`, async () => {
        await pushImage(client, adminLogin, { repository, tag: "v1" });
        const token = await client.token(logins[name], `repository:${repository}:pull,push,delete`);
        const headers = { authorization: `Bearer ${token}`, accept: manifestType };
        const may = async (action: string, method: string, path: string) => {
          const { status } = await client.ask(method, `/v2/${repository}${path}`, { headers });
          assert.ok([200, 202, 401].includes(status), `${action}: ${status}`);
          return status === 401 ? [] : [action];
        };
        const done = [
          ...(await may("pull", "GET", "/manifests/v1")),
          ...(await may("push", "POST", "/blobs/uploads/")),
          ...(await may("delete", "DELETE", "/manifests/v1")),
        ];
        assert.equal(done.join(" "), want);
      });
    }
  }
});
