import type { Compiled } from "../config/compiled.ts";
import { findLogins } from "../credential/keyring.ts";
import type { RegistryAuths } from "../credential/source.ts";
import { selectingCredentials } from "./desired.ts";
import type { ObservedNamespace } from "./observed.ts";

export type ImageName = {
  /** `docker.io` for Docker Hub, as parseReference gives it. */
  readonly host: string;
  readonly path: string;
};

/**
 * Whether a pod with these images gets the pull Secret's name. Always, unless every PullCredential that selects the
 * namespace says `injection: WhenUsed`: then only when a login of theirs, or the local registry's, serves an image.
 */
export function wantsPullSecret(
  compiled: Compiled,
  namespace: Pick<ObservedNamespace, "labels" | "annotations">,
  images: readonly ImageName[],
): boolean {
  const selecting = selectingCredentials(compiled, namespace);
  if (selecting.length === 0 || selecting.some(({ injection }) => injection === "Always")) return true;
  const { registry } = compiled;
  const localHosts = registry === null ? [] : [registry.host, ...registry.names, registry.loopback];
  return images.some(
    (image) => localHosts.includes(image.host) || selecting.some(({ auths }) => servesImage(auths, image)),
  );
}

function servesImage(auths: RegistryAuths, image: ImageName): boolean {
  return findLogins(auths, image).length > 0;
}
