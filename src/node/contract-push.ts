import { RegistryError } from "../registry/registry-error.ts";
import { buildContractImage, pushContractImage } from "./contract-image.ts";
import type { ContractRegistry } from "./contract-run.ts";
import { judgeError } from "./registry-probe.ts";
import type { Failure } from "./strategy.ts";

/**
 * The first half of the contract: a push from here by that name. The image is removed again; a registry that deletes
 * nothing keeps a kilobyte.
 *
 * @param place.repository without the host
 * @returns undefined where the registry took it
 */
export async function tryPush(
  registry: ContractRegistry & { readonly origin: URL },
  place: { readonly repository: string; readonly tag: string },
  signal: AbortSignal,
): Promise<Failure | undefined> {
  const image = buildContractImage(`push of ${place.tag}`);
  try {
    await pushContractImage(registry, { image, ...place }, signal);
  } catch (error) {
    if (!(error instanceof RegistryError)) throw error;
    return explainPush(error, `${registry.origin.host}/${place.repository}`);
  }
  try {
    await registry.deleteManifest(place.repository, image.manifest.digest, signal);
  } catch (error) {
    // Many registries allow no deletion: the push is what was asked about.
    if (!(error instanceof RegistryError)) throw error;
  }
  return undefined;
}

/** What a failed push means and what to do. */
export function explainPush(error: RegistryError, image: string): Failure {
  const host = image.slice(0, image.indexOf("/"));
  if (error.status === 0) return explainSilence(error, host);
  const told = `(${error.status} ${error.code})`;
  if (error.status === 401 || error.status === 403) {
    const message = `the registry refused the push of ${image} ${told}; give a login that may push there`;
    return { reason: "LoginRefused", message };
  }
  if (error.status === 405) {
    return { reason: "ReadOnly", message: `${host} takes no pushes ${told}; end its read-only mode` };
  }
  if (error.status === 429 || error.status >= 500) {
    return { reason: "Unavailable", message: `${host} failed ${told}; look at the registry` };
  }
  return { reason: "NotARegistry", message: `${host} does not take pushes as a registry does: ${error.message}` };
}

const advice: Readonly<Record<string, string>> = {
  NameUnknown: "make the name resolve in pods: by the cluster's DNS, or for an alias by a Service of that name",
  NameLookupFailed: "look at the cluster's DNS",
  WrongCertificate: "give the registry's CA as ca.crt beside the login",
  NotARegistry: "a registry without TLS needs --plain-http",
  Unreachable: "look at the Service, its endpoints, and network policies",
};

function explainSilence(error: RegistryError, host: string): Failure {
  const { reason, message } = judgeError(error.cause ?? error, { url: `https://${host}`, ca: null, kind: "external" });
  const here = message.replace("on this node", "in this pod").replace("the node's", "the pod's");
  return { reason, message: `${here}; ${advice[reason] ?? "look at the registry"}` };
}
