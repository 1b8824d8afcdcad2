import type { RegistryAuth } from "../config/compiled.ts";
import { hostMatches, isDockerHub, kubeletKey, parseRegistryKey, type RegistryKeyParts } from "./registry-key.ts";

export type KeyringMatch = {
  /** The key as it stands in the document. */
  readonly key: string;
  readonly auth: RegistryAuth;
};

/**
 * The logins that kubelet would try for an image, in its order: every key whose host pattern and path prefix match, in
 * descending order of the normalised key, so that longer paths come first; the default registry's key only when
 * nothing else matched.
 *
 * @param image host and path of the normalised reference, as parseReference gives them: `docker.io` and
 *   `library/nginx` for `nginx`
 * @see https://github.com/kubernetes/kubernetes/blob/master/pkg/credentialprovider/keyring.go (Lookup)
 */
export function findLogins(
  auths: Readonly<Record<string, RegistryAuth>>,
  image: { readonly host: string; readonly path: string },
): readonly KeyringMatch[] {
  const keyring = Object.entries(auths).flatMap(([key, auth]) => {
    const parts = parseRegistryKey(key);
    return parts === undefined ? [] : [{ key, auth, parts, index: kubeletKey(parts) }];
  });
  keyring.sort((left, right) => (left.index < right.index ? 1 : left.index > right.index ? -1 : 0));
  const matches = keyring.filter(({ parts }) => keyMatches(parts, image));
  const chosen =
    matches.length === 0 && isDefaultRegistry(image.host)
      ? keyring.filter(({ index }) => index === "index.docker.io")
      : matches;
  return chosen.map(({ key, auth }) => ({ key, auth }));
}

/** isDefaultRegistryMatch: a host without a dot or a port, which is `localhost` alone, gets Docker Hub's login, too. */
function isDefaultRegistry(host: string): boolean {
  return isDockerHub(host) || !/[.:]/.test(host);
}

/** URLsMatch: the path of the key is a plain prefix, so that `/team` serves `/teams/app`, too. */
function keyMatches(parts: RegistryKeyParts, image: { readonly host: string; readonly path: string }): boolean {
  return hostMatches(parts.host, image.host) && `/${image.path}`.startsWith(parts.path);
}
