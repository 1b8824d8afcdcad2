import { access, constants, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { Registry } from "prom-client";
import { systemClock } from "../../../src/clock.ts";
import type { AccessQuestion } from "../../../src/cluster/access-review.ts";
import { createMemoryStore, type MemoryStore } from "../../../src/cluster/memory-store.ts";
import type { KubernetesObject } from "../../../src/cluster/object.ts";
import type { TokenVerdict } from "../../../src/cluster/token-review.ts";
import type { RegistryKey } from "../../../src/config/compiled.ts";
import {
  registryAdminSecretName,
  registryCertificateSecretName,
  registryKeysSecretName,
  registryUsersSecretName,
  systemNamespace,
  tokenSigningSecretName,
} from "../../../src/config/names.ts";
import { startDistribution } from "../../../src/dev/distribution.ts";
import { distributionConfig } from "../../../src/gateway/distribution-config.ts";
import { createGateway, type Gateway, type GatewayNeeds } from "../../../src/gateway/gateway.ts";
import { createLog } from "../../../src/log.ts";
import { optInSelection } from "../../../src/namespace/selection.ts";
import { certificateNames } from "../../../src/tls/certificate.ts";
import { issueAuthority, issueLeaf } from "../../../src/tls/issue.ts";
import { leafSecret } from "../../../src/tls/leaf-secret.ts";

/** The path of Distribution's program, or undefined where the machine has none. */
export async function findDistribution(): Promise<string | undefined> {
  const folders = [process.env.KUBEBUILDER_ASSETS ?? "", ...(process.env.PATH ?? "").split(delimiter)];
  for (const folder of folders.filter((each) => each !== "")) {
    const path = join(folder, "registry");
    const isThere = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (isThere) return path;
  }
  return undefined;
}

export const adminLogin = { username: "admin", password: "admin-password" };
export const key: RegistryKey = { generation: 1, secret: Buffer.alloc(32, 7).toString("base64") };

/** A gateway on a free port in front of `distributionUrl`, with stores that the test fills. */
export type TestGateway = {
  readonly gateway: Gateway;
  readonly url: string;
  readonly ca: string;
  readonly secrets: MemoryStore;
  readonly namespaces: MemoryStore;
  readonly localRegistries: MemoryStore;
  /** What a token review answers, by token; refused unless given. */
  readonly tokens: Map<string, TokenVerdict>;
  /** What an access review answers. */
  allow: (question: AccessQuestion) => boolean;
  readonly reviews: { tokens: number; access: number };
  readonly lines: string[];
  readonly metrics: Registry;
  stop(): Promise<void>;
};

/** Opted in, and asking for a push login. */
export function namespaceObject(name: string, uid: string, labels: Record<string, string> = {}): KubernetesObject {
  const annotations = { "slipway.dev/push": "enabled" };
  return { metadata: { name, uid, labels: { "slipway.dev/inject": "enabled", ...labels }, annotations } };
}

export function secretObject(name: string, values: Record<string, string>): KubernetesObject {
  const data = Object.fromEntries(
    Object.entries(values).map(([entry, value]) => [entry, Buffer.from(value).toString("base64")]),
  );
  return { metadata: { name, namespace: systemNamespace }, type: "Opaque", data };
}

export type Certificates = {
  readonly ca: string;
  readonly tokenCa: string;
  readonly secrets: readonly KubernetesObject[];
  /** Another Secret with a new signing leaf under the same token CA. */
  readonly renewSigning: () => Promise<KubernetesObject>;
};

/** The certificates of a gateway; making them costs half a second, so a file makes them once. */
export async function issueCertificates(): Promise<Certificates> {
  const nowMs = Date.now();
  const [authority, tokenAuthority] = await Promise.all([
    issueAuthority({ commonName: "test CA", nowMs }),
    issueAuthority({ commonName: "test token CA", nowMs }),
  ]);
  const names = certificateNames(["localhost", "127.0.0.1", "registry.slipway-system.svc"]);
  const [serving, signing] = await Promise.all([
    issueLeaf({ authority, commonName: "registry", names, nowMs }),
    issueLeaf({ authority: tokenAuthority, commonName: "tokens", names: certificateNames([]), nowMs }),
  ]);
  const secret = (name: string, pair: typeof serving, bundle: string): KubernetesObject => ({
    metadata: { name, namespace: systemNamespace },
    ...leafSecret(pair, bundle),
  });
  return {
    ca: authority.certificate,
    tokenCa: tokenAuthority.certificate,
    secrets: [
      secret(registryCertificateSecretName, serving, authority.certificate),
      secret(tokenSigningSecretName, signing, tokenAuthority.certificate),
    ],
    async renewSigning() {
      const order = { authority: tokenAuthority, commonName: "tokens", names: certificateNames([]), nowMs };
      return secret(tokenSigningSecretName, await issueLeaf(order), tokenAuthority.certificate);
    },
  };
}

export async function startGateway(options: {
  readonly distributionUrl: string;
  readonly certificates: Certificates;
  readonly needs?: Partial<GatewayNeeds>;
}): Promise<TestGateway> {
  const secrets = createMemoryStore();
  const namespaces = createMemoryStore();
  const localRegistries = createMemoryStore();
  const put = (object: KubernetesObject) => secrets.set(`${systemNamespace}/${object.metadata.name}`, object);
  for (const object of options.certificates.secrets) put(object);
  put(secretObject(registryKeysSecretName, { "keys.json": JSON.stringify({ generations: [key] }) }));
  put(secretObject(registryAdminSecretName, adminLogin));
  const rules = [{ repository: "team-a/**", actions: ["pull", "push"] }];
  put(secretObject(registryUsersSecretName, { ci: JSON.stringify({ password: "ci-password", rules }) }));
  for (const store of [secrets, namespaces, localRegistries]) store.markSynced();
  namespaces.set("team-a", namespaceObject("team-a", "uid-a"));
  namespaces.set("team-b", namespaceObject("team-b", "uid-b"));
  const lines: string[] = [];
  const metrics = new Registry();
  const tokens = new Map<string, TokenVerdict>();
  const reviews = { tokens: 0, access: 0 };
  const state: { allow: TestGateway["allow"] } = { allow: () => false };
  const gateway = createGateway({
    distributionUrl: options.distributionUrl,
    namespace: systemNamespace,
    selection: optInSelection,
    secrets: {
      keys: secrets,
      admin: secrets,
      users: secrets,
      certificate: secrets,
      providedCertificate: secrets,
      tokenSigning: secrets,
    },
    namespaces,
    localRegistries,
    tokenReviewer: {
      async review(token) {
        reviews.tokens++;
        return tokens.get(token) ?? { kind: "refused" };
      },
    },
    accessReviewer: {
      async review(question) {
        reviews.access++;
        return state.allow(question);
      },
    },
    listen: { port: 0, host: "127.0.0.1", lingerMs: 0 },
    clock: systemClock,
    log: createLog({ level: "debug" }, { write: (line) => void lines.push(line) }),
    metrics,
    ...options.needs,
  });
  const stop = new AbortController();
  const running = gateway.run(stop.signal);
  while (gateway.port() === undefined) await new Promise((resolve) => setImmediate(resolve));
  return {
    gateway,
    url: `https://127.0.0.1:${gateway.port()}`,
    ca: options.certificates.ca,
    secrets,
    namespaces,
    localRegistries,
    tokens,
    get allow() {
      return state.allow;
    },
    set allow(answer) {
      state.allow = answer;
    },
    reviews,
    lines,
    metrics,
    async stop() {
      stop.abort();
      await running;
    },
  };
}

/** Distribution on a free port of loopback with an empty store, its configuration as we write it for the cluster. */
export async function startStore(program: string, tokenCa: string) {
  const folder = await mkdtemp(join(tmpdir(), "slipway-gateway-"));
  const tokenAuthorityPath = join(folder, "token-ca.crt");
  const configFile = join(folder, "config.yml");
  await writeFile(tokenAuthorityPath, tokenCa);
  const storage = { kind: "filesystem", rootDirectory: join(folder, "data") } as const;
  await writeFile(configFile, distributionConfig({ storage, tokenAuthorityPath, httpSecret: "test" }));
  const running = await startDistribution({ program, configFile });
  return {
    url: running.url,
    pid: running.program.pid,
    folder,
    async stop() {
      await running.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
