import type { ClusterApi } from "../cluster/api.ts";
import type { KubernetesObject } from "../cluster/object.ts";
import { type Resource, resources } from "../cluster/resource.ts";
import { unlessMissing } from "../cluster/unless-missing.ts";
import { systemNamespace } from "../config/names.ts";
import { SlipwayError } from "../errors.ts";
import { formatDockerConfig } from "./dockerconfig.ts";
import type { RegistryAuths } from "./source.ts";

/** On what `slipway credentials import` made: from where. Without it an object is somebody else's. */
export const importedLabel = "slipway.dev/imported";

export type ImportedShape = "tutor" | "docker";

/** The Secret and the PullCredential of one import; both have the same name. Nothing but the logins is copied. */
export function importedObjects(
  name: string,
  shape: ImportedShape,
  auths: RegistryAuths,
): { readonly secret: KubernetesObject; readonly pullCredential: KubernetesObject } {
  const labels = { [importedLabel]: shape };
  const [type, key, text] =
    shape === "docker"
      ? ["kubernetes.io/dockerconfigjson", ".dockerconfigjson", formatDockerConfig(auths)]
      : ["Opaque", "REGISTRY_CREDENTIALS", formatTutorDictionary(auths)];
  return {
    secret: {
      metadata: { name, namespace: systemNamespace, labels },
      type,
      data: { [key]: Buffer.from(text).toString("base64") },
    },
    pullCredential: { metadata: { name, labels }, spec: { sources: [{ secretRef: { name } }] } },
  };
}

function formatTutorDictionary(auths: RegistryAuths): string {
  const entries = Object.entries(auths).map(([registry, { username, password, email, keyName }]) => [
    registry,
    {
      ...(keyName === undefined ? {} : { key_name: keyName }),
      username,
      password,
      ...(email === undefined ? {} : { email }),
    },
  ]);
  return JSON.stringify(Object.fromEntries(entries));
}

/**
 * Writes what an import gave. A Secret whose type has changed with the import is made anew.
 *
 * @throws SlipwayError CONFIG_INVALID where an object of that name was not made by an import; ApiError
 */
export async function writeImported(
  api: ClusterApi,
  { secret, pullCredential }: ReturnType<typeof importedObjects>,
  signal: AbortSignal,
): Promise<void> {
  const { name } = secret.metadata;
  const address = { namespace: systemNamespace, name };
  const known = await readImported(api, resources.secrets, address, signal);
  await readImported(api, resources.pullCredentials, { name }, signal);
  if (known !== undefined && known.type !== secret.type) await api.delete(resources.secrets, address, { signal });
  await api.apply(resources.secrets, secret, { force: true, signal });
  await api.apply(resources.pullCredentials, pullCredential, { force: true, signal });
}

/**
 * Removes what an import made: the PullCredential first, so that its logins leave the namespaces in good order.
 *
 * @returns whether there was anything
 * @throws SlipwayError CONFIG_INVALID where an object of that name was not made by an import; ApiError
 */
export async function removeImported(api: ClusterApi, name: string, signal: AbortSignal): Promise<boolean> {
  const address = { namespace: systemNamespace, name };
  const secret = await readImported(api, resources.secrets, address, signal);
  const pullCredential = await readImported(api, resources.pullCredentials, { name }, signal);
  if (pullCredential !== undefined) await api.delete(resources.pullCredentials, { name }, { signal });
  if (secret !== undefined) await api.delete(resources.secrets, address, { signal });
  return secret !== undefined || pullCredential !== undefined;
}

async function readImported(
  api: ClusterApi,
  resource: Resource,
  address: { readonly namespace?: string; readonly name: string },
  signal: AbortSignal,
): Promise<KubernetesObject | undefined> {
  const found = await unlessMissing(api.get(resource, address, signal));
  if (found === undefined || found.metadata.labels?.[importedLabel] !== undefined) return found;
  throw new SlipwayError(
    "CONFIG_INVALID",
    `${resource.kind} ${address.name} was not made by slipway credentials import and stays as it is; choose another --name, or use kubectl`,
  );
}
