import { chmod, mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { Registry } from "prom-client";
import { systemClock } from "../clock.ts";
import type { ClusterApi } from "../cluster/api.ts";
import { createTransport } from "../cluster/client.ts";
import { createClusterApi } from "../cluster/kubernetes-api.ts";
import type { KubernetesObject } from "../cluster/object.ts";
import { createReflector } from "../cluster/reflector.ts";
import { resources } from "../cluster/resource.ts";
import { runUntil } from "../cluster/run-until.ts";
import { createTokenRequester } from "../cluster/token-request.ts";
import { unlessMissing } from "../cluster/unless-missing.ts";
import type { Condition } from "../config/condition.ts";
import {
  distributionImage,
  gatewayAccount,
  gatewayAudience,
  registryAdminSecretName,
  registryCertificateSecretName,
  serveAccount,
  systemNamespace,
  tokenAuthoritySecretName,
} from "../config/names.ts";
import { createNamespaceKeeper } from "../dev/accounts.ts";
import { type ControlPlane, startControlPlane } from "../dev/control-plane.ts";
import { type Distribution, freePort, startDistribution } from "../dev/distribution.ts";
import { createManifestApplier } from "../dev/manifests.ts";
import { findControlPlanePrograms, findRegistryProgram } from "../dev/programs.ts";
import { SlipwayError } from "../errors.ts";
import { distributionConfig } from "../gateway/distribution-config.ts";
import type { Log } from "../log.ts";
import { optInSelection } from "../namespace/selection.ts";
import { readAdminLogin } from "../registry/secrets.ts";
import { secretValue } from "../tls/secret-data.ts";
import { devManifests } from "./dev-manifests.ts";
import { runGateway } from "./gateway.ts";
import { runServe } from "./serve-process.ts";

export type DevOptions = {
  /** Where dev.json and what it names go; made when it does not exist. Absent: a temporary folder, removed at the end. */
  readonly state: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Told one line about each step. */
  readonly announce: (line: string) => void;
  /** Of serve and the gateway. */
  readonly log: Log;
  /** Of serve's looks at pull Secrets inside admission, as in ensure.ts. */
  readonly ensureLimitMs?: number;
};

/** The content of dev.json: how any tool reaches this environment. All paths are absolute. */
export type DevFile = {
  readonly kubeconfig: string;
  readonly webhook: { readonly url: string; readonly caFile: string };
  readonly registry: {
    readonly url: string;
    readonly caFile: string;
    readonly username: string;
    readonly passwordFile: string;
  };
  readonly operations: { readonly url: string };
};

export type DevEnvironment = {
  readonly file: DevFile;
  /** Resolves when something in it has failed, with what. */
  readonly failed: Promise<unknown>;
  stop(): Promise<void>;
};

/** It takes seconds; a machine that is busy otherwise may take long. */
const readyTimeoutMs = 180_000;

/**
 * Starts everything in this process and its children: kube-apiserver and etcd, Distribution, serve and the gateway, as
 * the accounts that they have in a cluster and with their rights. Resolves when LocalRegistry is Ready, which includes
 * that the API server reaches the webhook.
 *
 * @throws SlipwayError as programs.ts and control-plane.ts; DEV_NOT_READY when it does not become ready in three minutes.
 *   What was started has been stopped then.
 */
export async function startDevEnvironment(options: DevOptions): Promise<DevEnvironment> {
  const cleanUp: (() => Promise<void>)[] = [];
  const running = createRunning();
  const stop = async () => {
    await running.stop();
    for (const step of cleanUp.splice(0).reverse()) await step();
  };
  try {
    return { file: await start(options, running, cleanUp), failed: running.failed, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function start(
  options: DevOptions,
  running: ReturnType<typeof createRunning>,
  cleanUp: (() => Promise<void>)[],
): Promise<DevFile> {
  const { announce, log } = options;
  const folder = await openStateFolder(options.state, cleanUp);
  const find = { env: options.env, announce };
  const [programs, registryProgram] = await Promise.all([findControlPlanePrograms(find), findRegistryProgram(find)]);

  announce("starting kube-apiserver and etcd");
  const controlPlane = await startControlPlane({ programs });
  cleanUp.push(() => controlPlane.stop());
  const kubeconfig = join(folder, "kubeconfig");
  await writeFile(kubeconfig, controlPlane.adminKubeconfig, { mode: 0o600 });

  const shared = { clock: systemClock, random: Math.random, log, metrics: new Registry() };
  const transport = createTransport({ kubeconfig, ...shared });
  cleanUp.push(() => transport.close());
  const api = createClusterApi(transport);
  const ports = { webhook: await freePort(), operations: await freePort(), gateway: await freePort() };

  announce("applying the CRDs and manifests");
  const { signal } = running;
  await createManifestApplier({ api, transport }).apply(await devManifests(ports), signal);
  const namespaces = createReflector({ ...shared, transport, resource: resources.namespaces });
  running.add(runUntil(signal, [namespaces, createNamespaceKeeper({ ...shared, api, transport, namespaces })]));

  announce(
    "standing in for kube-controller-manager: ServiceAccount 'default' in each namespace; no kubelet, so no pod runs",
  );
  announce("starting slipway serve and slipway gateway");
  const requester = createTokenRequester(api);
  running.add(
    runServe(
      {
        cluster: { kubeconfig: await userOf(controlPlane, serveAccount) },
        namespace: systemNamespace,
        listen: { port: ports.webhook, host: "127.0.0.1", lingerMs: 0 },
        operations: { port: ports.operations, host: "127.0.0.1" },
        selection: optInSelection,
        pushSecrets: true,
        identity: "dev",
        image: "slipway:dev",
        registryImage: distributionImage,
        gatewayToken: async () => {
          const account = { namespace: systemNamespace, name: serveAccount };
          return (await requester.request(account, { audiences: [gatewayAudience], signal })).token;
        },
        defaults: true,
        credentialFiles: join(folder, "credentials"),
        keyGraceMs: 2_000, // no kubelet here, whose mounted Secrets would lag
        ensureLimitMs: options.ensureLimitMs,
        serveNames: [],
      },
      log,
      signal,
    ),
  );
  const distribution = await startRegistry({ api, folder, program: registryProgram, signal });
  cleanUp.push(() => distribution.stop());
  running.add(
    runGateway(
      {
        cluster: { kubeconfig: await userOf(controlPlane, gatewayAccount) },
        namespace: systemNamespace,
        selection: optInSelection,
        distributionUrl: distribution.url,
        listen: { port: ports.gateway, host: "127.0.0.1", lingerMs: 0 },
        operations: { port: 0, host: "127.0.0.1" },
      },
      log,
      signal,
    ),
  );

  announce("waiting until the API server gets a Pod back mutated");
  await waitFor("LocalRegistry default to be Ready", signal, () => whyNotReady(api, signal));
  return writeDevFile({ api, folder, kubeconfig, ports, signal });
}

async function openStateFolder(state: string | undefined, cleanUp: (() => Promise<void>)[]): Promise<string> {
  if (state !== undefined) {
    await mkdir(state, { recursive: true });
    await rm(join(state, "dev.json"), { force: true });
    cleanUp.push(() => rm(join(state, "dev.json"), { force: true }));
    return resolve(state);
  }
  const folder = await mkdtemp(join(tmpdir(), "slipway-dev-"));
  cleanUp.push(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** What runs in this process: stopped together, and a fault in one is told. */
function createRunning() {
  const stopping = new AbortController();
  const fault = Promise.withResolvers<unknown>();
  const ends: Promise<void>[] = [];
  return {
    stop: async () => {
      stopping.abort();
      await Promise.all(ends);
    },
    signal: stopping.signal,
    failed: fault.promise,
    add: (work: Promise<void>) => {
      ends.push(
        work.catch((error: unknown) => {
          fault.resolve(error);
          stopping.abort(error);
        }),
      );
    },
  };
}

/** A client certificate that the API server takes for the ServiceAccount: its rights, and the policies on its name. */
function userOf(controlPlane: ControlPlane, account: string): Promise<string> {
  return controlPlane.addUser({
    name: `system:serviceaccount:${systemNamespace}:${account}`,
    groups: ["system:serviceaccounts", `system:serviceaccounts:${systemNamespace}`],
  });
}

async function startRegistry(needs: {
  readonly api: ClusterApi;
  readonly folder: string;
  readonly program: string;
  readonly signal: AbortSignal;
}): Promise<Distribution> {
  const { api, folder, program, signal } = needs;
  let bundle = "";
  await waitFor("the token CA", signal, async () => {
    bundle = secretValue(await readSecret(api, tokenAuthoritySecretName, signal), "bundle.crt");
    return bundle === "" ? `Secret ${tokenAuthoritySecretName} does not exist yet` : undefined;
  });
  const tokenAuthorityPath = join(folder, "token-ca.crt");
  const configFile = join(folder, "registry.yml");
  const rootDirectory = join(folder, "registry");
  await writeFile(tokenAuthorityPath, bundle);
  await writeFile(
    configFile,
    distributionConfig({ storage: { kind: "filesystem", rootDirectory }, tokenAuthorityPath }),
  );
  return startDistribution({ program, configFile });
}

async function writeDevFile(needs: {
  readonly api: ClusterApi;
  readonly folder: string;
  readonly kubeconfig: string;
  readonly ports: { readonly webhook: number; readonly operations: number; readonly gateway: number };
  readonly signal: AbortSignal;
}): Promise<DevFile> {
  const { api, folder, kubeconfig, ports, signal } = needs;
  const login = readAdminLogin(await readSecret(api, registryAdminSecretName, signal));
  if (login === undefined) throw new SlipwayError("DEV_NOT_READY", `Secret ${registryAdminSecretName} holds no login`);
  const caFile = join(folder, "ca.crt");
  const passwordFile = join(folder, "admin-password");
  await writeFile(caFile, secretValue(await readSecret(api, registryCertificateSecretName, signal), "ca.crt"));
  await writeFile(passwordFile, login.password, { mode: 0o600 });
  const file: DevFile = {
    kubeconfig,
    webhook: { url: `https://127.0.0.1:${ports.webhook}/mutate`, caFile },
    registry: { url: `https://127.0.0.1:${ports.gateway}`, caFile, username: login.username, passwordFile },
    operations: { url: `http://127.0.0.1:${ports.operations}` },
  };
  // Whole and only now: whoever waits for this file may use everything that it names.
  const path = join(folder, "dev.json");
  await writeFile(`${path}.new`, `${JSON.stringify(file, null, 2)}\n`);
  await chmod(`${path}.new`, 0o644);
  await rename(`${path}.new`, path);
  return file;
}

function readSecret(api: ClusterApi, name: string, signal: AbortSignal): Promise<KubernetesObject | undefined> {
  return unlessMissing(api.get(resources.secrets, { namespace: systemNamespace, name }, signal));
}

async function whyNotReady(api: ClusterApi, signal: AbortSignal): Promise<string | undefined> {
  const registry = await api.get(resources.localRegistries, { name: "default" }, signal);
  const { conditions = [] } = (registry.status ?? {}) as { conditions?: readonly Condition[] };
  const ready = conditions.find((condition) => condition.type === "Ready");
  if (ready?.status === "True") return undefined;
  return ready === undefined ? "it has no status yet" : `${ready.reason}: ${ready.message}`;
}

/** Asks again until there is no obstacle. @throws SlipwayError DEV_NOT_READY with the last obstacle */
async function waitFor(what: string, signal: AbortSignal, obstacle: () => Promise<string | undefined>): Promise<void> {
  const deadlineMs = systemClock.monotonicMs() + readyTimeoutMs;
  for (;;) {
    const found = await obstacle();
    if (found === undefined) return;
    signal.throwIfAborted();
    if (systemClock.monotonicMs() > deadlineMs) throw new SlipwayError("DEV_NOT_READY", `waited for ${what}: ${found}`);
    await systemClock.sleep(50, signal);
  }
}
