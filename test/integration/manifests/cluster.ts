import { readFileSync } from "node:fs";
import { Agent, request } from "node:https";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parse } from "yaml";
import { startControlPlane } from "../../../src/dev/control-plane.ts";
import { findControlPlanePrograms } from "../../../src/dev/programs.ts";
import { runToEnd } from "../../../src/dev/run-to-end.ts";

/** A real API server for tests of the manifests, spoken to directly: an answer's status is what these tests are about. */
export type TestCluster = {
  send(call: Call): Promise<Answer>;
  /** kubectl as administrator. @returns standard output */
  kubectl(args: readonly string[]): Promise<string>;
  /** A kubeconfig for whoever the identity names, by a client certificate. @returns its path */
  addUser(identity: Identity): Promise<string>;
  /** PEM of the API server's own CA: a certificate, where one is needed. */
  readonly ca: string;
  stop(): Promise<void>;
};

export type Call = {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  readonly path: string;
  readonly body?: unknown;
  /** `application/apply-patch+yaml` and field manager `slipway` for PATCH unless given. */
  readonly contentType?: string;
  /** Impersonated; the administrator unless given. */
  readonly as?: Identity;
};

export type Identity = { readonly user: string; readonly groups: readonly string[] };

// biome-ignore lint/suspicious/noExplicitAny: tests look at whatever the API server answered
export type Answer = { readonly status: number; readonly body: any };

export const manifestsFolder = fileURLToPath(new URL("../../../manifests", import.meta.url));

/** A ServiceAccount as the API server sees it. */
export function serviceAccount(namespace: string, name: string): Identity {
  return {
    user: `system:serviceaccount:${namespace}:${name}`,
    groups: ["system:serviceaccounts", `system:serviceaccounts:${namespace}`, "system:authenticated"],
  };
}

/**
 * Starts an API server; `overlay` names what is applied to it in one go, as a user would.
 *
 * @param apiServerFlags as startControlPlane has them
 */
export async function startTestCluster(
  overlay?: string,
  apiServerFlags: Readonly<Record<string, string>> = {},
): Promise<TestCluster> {
  const programs = await findControlPlanePrograms({ env: process.env, announce: () => {} });
  const controlPlane = await startControlPlane({ programs, apiServerFlags });
  const kubectl = (args: readonly string[]) =>
    runToEnd({ command: programs.kubectl, args: ["--kubeconfig", controlPlane.kubeconfigPath, ...args] });
  const agent = new Agent({ keepAlive: true, ...clientCertificate(controlPlane.adminKubeconfig) });
  try {
    if (overlay !== undefined) {
      await kubectl(["apply", "-k", `${manifestsFolder}/${overlay}`]);
      await typesAreServed((path) => send(controlPlane.url, agent, { method: "GET", path }));
    }
  } catch (error) {
    await controlPlane.stop();
    throw error;
  }
  return {
    send: (call) => send(controlPlane.url, agent, call),
    kubectl,
    addUser: ({ user, groups }) => controlPlane.addUser({ name: user, groups }),
    ca: readFileSync(controlPlane.caFile, "utf8"),
    async stop() {
      agent.destroy();
      await controlPlane.stop();
    },
  };
}

/** A custom resource is served, and found by kubectl, a moment after its definition was created. */
async function typesAreServed(get: (path: string) => Promise<Answer>): Promise<void> {
  const { body } = await get("/apis/apiextensions.k8s.io/v1/customresourcedefinitions");
  for (const { spec } of body.items) {
    const group = `/apis/${spec.group}/${spec.versions[0].name}`;
    await until(`${spec.names.plural} are served`, async () => {
      const { body: discovery } = await get(group);
      const isKnown = discovery.resources?.some(({ name }: { name: string }) => name === spec.names.plural);
      return isKnown === true && (await get(`${group}/${spec.names.plural}`)).status === 200;
    });
  }
}

/** Looks again until it is so. @throws when it is not within two minutes, which a busy machine may need */
export async function until(what: string, isSo: () => Promise<boolean>): Promise<void> {
  const endMs = performance.now() + 120_000;
  while (!(await isSo())) {
    if (performance.now() > endMs) throw new Error(`waited in vain: ${what}`);
    await delay(20);
  }
}

function clientCertificate(kubeconfig: string): { ca: Buffer; cert: Buffer; key: Buffer } {
  const { clusters, users } = parse(kubeconfig);
  const decode = (text: string) => Buffer.from(text, "base64");
  return {
    ca: decode(clusters[0].cluster["certificate-authority-data"]),
    cert: decode(users[0].user["client-certificate-data"]),
    key: decode(users[0].user["client-key-data"]),
  };
}

function send(server: string, agent: Agent, call: Call): Promise<Answer> {
  const url = new URL(call.path, server);
  const applies = call.method === "PATCH" && call.contentType === undefined;
  if (applies) url.searchParams.set("fieldManager", "slipway");
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const headers: Record<string, string | string[]> = {
    "content-type": call.contentType ?? (applies ? "application/apply-patch+yaml" : "application/json"),
    ...(call.as === undefined ? {} : { "impersonate-user": call.as.user, "impersonate-group": [...call.as.groups] }),
  };
  const exchange = request(url, { method: call.method, agent, headers }, (response) => {
    const chunks: Buffer[] = [];
    response.on("data", (chunk: Buffer) => chunks.push(chunk));
    response.once("error", reject);
    response.once("end", () => {
      const text = Buffer.concat(chunks).toString("utf8");
      // A watch answers with one JSON document for each line.
      const isDocument = url.searchParams.get("watch") === null;
      const isJson = isDocument && response.headers["content-type"]?.startsWith("application/json") === true;
      resolve({ status: response.statusCode ?? 0, body: isJson ? JSON.parse(text) : text });
    });
  });
  exchange.once("error", reject);
  exchange.end(call.body === undefined ? undefined : JSON.stringify(call.body));
  return promise;
}

/** The objects of a kustomization, as kubectl renders it. */
export async function render(folder: string): Promise<readonly Rendered[]> {
  const { kubectl } = await findControlPlanePrograms({ env: process.env, announce: () => {} });
  const text = await runToEnd({ command: kubectl, args: ["kustomize", `${manifestsFolder}/${folder}`] });
  return text.split(/^---$/m).map((document) => parse(document) as Rendered);
}

export type Rendered = {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  // biome-ignore lint/suspicious/noExplicitAny: manifests are compared field by field
  readonly [field: string]: any;
};
