import type { KubernetesObject } from "../cluster/object.ts";
import { parseDockerConfig } from "../credential/dockerconfig.ts";
import { findLogins } from "../credential/keyring.ts";
import { isDockerHub, kubeletKey, parseRegistryKey } from "../credential/registry-key.ts";
import type { RegistryAuths } from "../credential/source.ts";
import { readReference } from "../reference/parse.ts";

/** A Secret that a pod names, as far as kubelet reads it. */
export type KeyringSecret = { readonly name: string; readonly auths: RegistryAuths };

/**
 * The logins of a Secret; kubelet ignores those of other types.
 *
 * @returns undefined where kubelet would find none in it
 */
export function readPullSecret(secret: KubernetesObject): RegistryAuths | undefined {
  const data = (secret.data ?? {}) as Readonly<Record<string, unknown>>;
  const shape =
    secret.type === "kubernetes.io/dockerconfigjson"
      ? "dockerconfigjson"
      : secret.type === "kubernetes.io/dockercfg"
        ? "dockercfg"
        : undefined;
  const encoded = shape === undefined ? undefined : data[`.${shape}`];
  if (shape === undefined || typeof encoded !== "string") return undefined;
  const parsed = parseDockerConfig(Buffer.from(encoded, "base64").toString("utf8"), shape);
  return parsed.kind === "entries" ? parsed.entries : undefined;
}

/**
 * The login that kubelet tries first: all Secrets of a pod make one keyring, ordered by the key, and for one key by the
 * order of the Secrets; the login of Docker Hub's old key only where nothing else matches.
 *
 * @returns `<Secret> (<key>)`; null: none, the image is pulled anonymously unless the node has a login of its own
 * @see https://github.com/kubernetes/kubernetes/blob/master/pkg/credentialprovider/secrets/secrets.go (MakeDockerKeyring)
 */
export function servingLogin(secrets: readonly KeyringSecret[], image: string): string | null {
  const reference = readReference(image);
  if (!("registry" in reference)) return null;
  const { registry: host, path } = reference;
  const matches = secrets.flatMap(({ name, auths }) =>
    findLogins(auths, { host, path }).map(({ key }) => {
      const parts = parseRegistryKey(key);
      return { name, key, index: parts === undefined ? "" : kubeletKey(parts) };
    }),
  );
  const direct = matches.filter(({ index }) => !(isDockerHub(host) && index === "index.docker.io"));
  const [first] = (direct.length > 0 ? direct : matches).toSorted((left, right) =>
    left.index === right.index ? 0 : left.index < right.index ? 1 : -1,
  );
  return first === undefined ? null : `${first.name} (${first.key})`;
}
