/** The key of Docker Hub in every document that Slipway writes. */
export const dockerHubKey = "https://index.docker.io/v1/";

/** A key of a docker config, read as kubelet does. */
export type RegistryKeyParts = {
  /** `host[:port]`; labels may hold `*`. */
  readonly host: string;
  /** "" or `/…`, a plain prefix of the image's path. */
  readonly path: string;
};

const hostGrammar = /^(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9*](?:[A-Za-z0-9.*-]*[A-Za-z0-9*])?)(?::[0-9]+)?$/;
const pathGrammar = /^(?:\/[A-Za-z0-9._~:/@!$&'()*+,;=-]*)?$/;

/**
 * Reads a key of a docker config the way kubelet does: `https://` or `http://` is cut off, a path that begins with
 * `/v1/` or `/v2/` loses that part, a path of `/` is none. Any other path stays, its trailing slash included: kubelet
 * takes it as a plain prefix.
 *
 * @returns undefined where no image reference could ever match (no host, another scheme), and for user information,
 *   query, fragment and percent escapes, which nobody writes there on purpose: said as a finding rather than guessed at
 * @see https://github.com/kubernetes/kubernetes/blob/master/pkg/credentialprovider/keyring.go (BasicDockerKeyring.Add)
 */
export function parseRegistryKey(key: string): RegistryKeyParts | undefined {
  const schemeless = key.replace(/^https?:\/\//, "");
  const slash = schemeless.indexOf("/");
  const host = slash === -1 ? schemeless : schemeless.slice(0, slash);
  const path = slash === -1 ? "" : schemeless.slice(slash);
  if (!hostGrammar.test(host) || !pathGrammar.test(path)) return undefined;
  const effective = path.startsWith("/v1/") || path.startsWith("/v2/") ? path.slice(3) : path;
  return { host, path: effective === "/" ? "" : effective };
}

/** The key under which kubelet files a login: two keys that kubelet takes for the same give the same text. */
export function kubeletKey(parts: RegistryKeyParts): string {
  return parts.host + parts.path;
}

/**
 * The form in which Slipway compares and writes keys: kubelet's, with Docker Hub under its historical key whichever of
 * its names was used.
 */
export function canonicalRegistryKey(parts: RegistryKeyParts): string {
  return parts.path === "" && isDockerHub(parts.host) ? dockerHubKey : kubeletKey(parts);
}

/** The names that kubelet takes for Docker Hub (isDefaultRegistryMatch in keyring.go). */
export function isDockerHub(host: string): boolean {
  return host === "docker.io" || host === "index.docker.io";
}

/**
 * Whether a login under this key would be tried before, or instead of, the one that Slipway keeps for `name`: the host
 * is that name (in any case), with or without a path, or it is a pattern that matches it and sorts before it.
 *
 * @param name `host[:port]` of the local registry
 */
export function claimsRegistryName(parts: RegistryKeyParts, name: string): boolean {
  const host = parts.host.toLowerCase();
  const own = name.toLowerCase();
  if (host === own) return true;
  return hostMatches(host, own) && kubeletKey({ ...parts, host }) > own;
}

/**
 * Whether a host with patterns matches the host of an image: the same port, the same number of labels, and each label
 * matches, `*` standing for any part of one label.
 *
 * @see https://github.com/kubernetes/kubernetes/blob/master/pkg/credentialprovider/keyring.go (URLsMatch)
 */
export function hostMatches(pattern: string, host: string): boolean {
  const wanted = splitHost(pattern);
  const given = splitHost(host);
  if (wanted.port !== given.port || wanted.labels.length !== given.labels.length) return false;
  return wanted.labels.every((label, index) => labelMatches(label, given.labels[index] ?? ""));
}

/** net.SplitHostPort, which takes the brackets off an IPv6 address only where a port follows. */
function splitHost(host: string): { readonly labels: readonly string[]; readonly port: string } {
  const bracketed = /^\[(.*)\]:([^:]*)$/.exec(host);
  if (bracketed !== null) return { labels: (bracketed[1] ?? "").split("."), port: bracketed[2] ?? "" };
  const [name = "", port, ...more] = host.split(":");
  return port === undefined || more.length > 0
    ? { labels: host.split("."), port: "" }
    : { labels: name.split("."), port };
}

/** filepath.Match for what can occur in a host: `*`, and `[…]`, which never matches the brackets of an address. */
function labelMatches(pattern: string, label: string): boolean {
  if (pattern.startsWith("[")) return false;
  const [first = "", ...others] = pattern.split("*");
  if (others.length === 0) return pattern === label;
  if (!label.startsWith(first)) return false;
  const last = others.pop() ?? "";
  let position = first.length;
  for (const part of others) {
    const found = label.indexOf(part, position);
    if (found === -1) return false;
    position = found + part.length;
  }
  return label.length - last.length >= position && label.endsWith(last);
}
