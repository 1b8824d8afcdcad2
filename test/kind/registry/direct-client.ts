import type { TestContext } from "node:test";
import type { Login } from "../../../src/credential/login.ts";
import {
  type Answer,
  createRegistryClient,
  manifestType,
  type RegistryClient,
} from "../../integration/gateway/registry-client.ts";
import type { Cluster } from "../cluster.ts";
import { eventually } from "../eventually.ts";
import { changeLocalRegistry } from "./local-registry.ts";

export type DirectClient = RegistryClient & {
  /** `https://ADDRESS:PORT` of a node. */
  readonly url: string;
  readonly ca: string;
};

/** Opens a NodePort for the test, and a client as thin as can be to it. */
export async function openNodePort(t: TestContext, cluster: Cluster): Promise<DirectClient> {
  await changeLocalRegistry(t, cluster, { exposure: { nodePort: 31113 } });
  return openClient(t, cluster);
}

/**
 * A client to where LocalRegistry says that it is reached from outside; it trusts our CAs of this moment alone. Waits
 * until that answers: kube-proxy and the certificate for the nodes' addresses follow a change on their own.
 */
export async function openClient(t: TestContext, cluster: Cluster): Promise<DirectClient> {
  const { status } = await cluster.get("localregistry", { name: "default" });
  const { data } = await cluster.get("configmap", { name: "slipway-ca", namespace: "slipway-node" });
  const server = { url: `https://${status.endpoints.host}`, ca: data["ca.crt"] as string };
  const client = createRegistryClient(server);
  t.after(() => client.close());
  await eventually(`${server.url} answers`, async () => (await client.ask("GET", "/v2/")).status === 401 || undefined);
  return { ...client, ...server };
}

/** The login of a pull or push Secret, for the registry's canonical name. */
export async function readLogin(cluster: Cluster, namespace: string, name = "slipway-pull"): Promise<Login> {
  await cluster.wait(`secret/${name}`, "create", { namespace });
  const { data } = await cluster.get("secret", { name, namespace });
  const { auths } = JSON.parse(Buffer.from(data[".dockerconfigjson"], "base64").toString());
  const [username = "", password = ""] = Buffer.from(auths["registry.slipway-system.svc"].auth, "base64")
    .toString()
    .split(/:(.*)/s);
  return { username, password };
}

/**
 * As readLogin; waits until the gateway takes the login. It watches namespaces as serve does, and either may be first to
 * hear of a new one.
 */
export async function readAcceptedLogin(
  client: RegistryClient,
  cluster: Cluster,
  { namespace, name }: { readonly namespace: string; readonly name?: string },
): Promise<Login> {
  const login = await readLogin(cluster, namespace, name);
  await eventually(`the gateway takes the login of ${namespace}`, () => client.token(login));
  return login;
}

/** Of Secret `slipway-registry-admin`. */
export async function readAdminLogin(cluster: Cluster): Promise<Login> {
  const { data } = await cluster.get("secret", { name: "slipway-registry-admin", namespace: "slipway-system" });
  const text = (key: string) => Buffer.from(data[key], "base64").toString();
  return { username: text("username"), password: text("password") };
}

/** One request with a token for what the login may do of `scope`, in which blanks separate. */
export async function askAs(
  client: RegistryClient,
  login: Login,
  scope: string,
  { method, path }: { readonly method: string; readonly path: string },
): Promise<Answer> {
  const token = await client.token(login, ...scope.split(" "));
  return client.ask(method, path, { headers: { authorization: `Bearer ${token}`, accept: manifestType } });
}
