import type { Disk } from "./disk.ts";
import {
  caFileName,
  type FolderOrigin,
  hostsFileName,
  looksLikeHostsToml,
  readMarker,
  renderCaFile,
  renderHostsToml,
} from "./hosts-toml.ts";
import type { OrderedRegistry } from "./protocol.ts";

/** Folders and files that begin so are ours, left by a write that was cut off. */
const temporaryPrefix = ".slipway-";

export type FolderOutcome =
  | { readonly kind: "written" | "unchanged" }
  /** Somebody else's configuration of the same host; `path` is as the runtime sees it. */
  | { readonly kind: "foreign"; readonly path: string };

/** One `certs.d` folder: ours below it are written, healed and removed; everything else stays as it is. */
export type HostFolders = {
  /** Brings `<host[:port]>/hosts.toml` and the CA beside it to what is ordered. */
  write(host: string, registry: OrderedRegistry): Promise<FolderOutcome>;
  /** Removes what is ours of every host that is not in `keep`, and what a cut-off write has left. */
  removeAllBut(keep: ReadonlySet<string>): Promise<void>;
  /** The CA file's text of a host, as it is now. */
  readCa(host: string): Promise<string | undefined>;
};

type Found = {
  readonly hosts: string | undefined;
  readonly ca: string | undefined;
  readonly origin: FolderOrigin | undefined;
  readonly others: readonly string[];
  /** Left by a write that was cut off. */
  readonly leftovers: readonly string[];
};

/**
 * A new folder appears whole, by the rename of one that was filled beside it; a file in an existing folder is
 * replaced by the rename of one that is durable. The CA comes before the file that names it and goes after it.
 *
 * @param needs.root certs.d as this process sees it; hosts are one folder below it
 * @param needs.runtimeRoot the same as the container runtime sees it
 */
export function createHostFolders(needs: {
  readonly disk: Disk;
  readonly root: string;
  readonly runtimeRoot: string;
}): HostFolders {
  const { disk, root } = needs;
  /** Hosts that this process has written: a file of theirs that lost its marker is damaged, not foreign. */
  const written = new Map<string, FolderOrigin>();

  function wanted(host: string, registry: OrderedRegistry, origin: FolderOrigin) {
    const caPath = registry.ca === null ? null : `${needs.runtimeRoot}/${host}/${caFileName}`;
    return {
      hosts: renderHostsToml(registry, caPath, origin),
      ca: registry.ca === null ? undefined : renderCaFile(registry.ca, origin),
    };
  }

  async function inspect(folder: string): Promise<Found> {
    const hosts = await disk.read(`${folder}/${hostsFileName}`);
    const ca = await disk.read(`${folder}/${caFileName}`);
    const names = (await disk.list(folder)) ?? [];
    const leftovers = names.filter((name) => name.startsWith(temporaryPrefix));
    const own = new Set([hostsFileName, caFileName, ...leftovers]);
    const others = names.filter((name) => !own.has(name));
    return { hosts, ca, others, leftovers, origin: readMarker(hosts ?? "") ?? readMarker(ca ?? "") };
  }

  function isKnown(host: string, found: Found): boolean {
    return found.origin !== undefined || written.has(host);
  }

  /** Where every marker was lost, this process remembers who made the folder. */
  function originOf(host: string, found: Found): FolderOrigin {
    return found.origin ?? written.get(host) ?? "found";
  }

  /** Of a known folder, a file without the marker is ours too, unless it is a configuration that somebody means. */
  function isOurHosts(host: string, found: Found): boolean {
    const { hosts = "" } = found;
    return readMarker(hosts) !== undefined || (isKnown(host, found) && !looksLikeHostsToml(hosts));
  }

  function isOurCa(host: string, found: Found): boolean {
    const { ca = "" } = found;
    return readMarker(ca) !== undefined || (isKnown(host, found) && !ca.includes("-----BEGIN"));
  }

  /** The path of what makes the folder somebody else's, or undefined when it is ours to write. */
  function foreignPart(host: string, found: Found): string | undefined {
    if (found.hosts !== undefined && !isOurHosts(host, found)) return `${host}/${hostsFileName}`;
    if (found.ca !== undefined && !isOurCa(host, found)) return `${host}/${caFileName}`;
    // Docker's layout counts as long as there is no hosts.toml: writing one would switch it off.
    const certificate = isKnown(host, found) ? undefined : found.others.find((name) => /\.(crt|cert|key)$/.test(name));
    return certificate === undefined ? undefined : `${host}/${certificate}`;
  }

  async function makeWhole(host: string, registry: OrderedRegistry): Promise<void> {
    const temporary = `${root}/${temporaryPrefix}${host}`;
    const files = wanted(host, registry, "made");
    await removeFolderOfOurs(temporary);
    await disk.makeFolder(temporary);
    if (files.ca !== undefined) await disk.write(`${temporary}/${caFileName}`, files.ca);
    await disk.write(`${temporary}/${hostsFileName}`, files.hosts);
    await disk.syncFolder(temporary);
    await disk.rename(temporary, `${root}/${host}`);
    await disk.syncFolder(root);
  }

  async function replace(folder: string, name: string, text: string): Promise<void> {
    const temporary = `${folder}/${temporaryPrefix}${name}`;
    await disk.write(temporary, text);
    await disk.rename(temporary, `${folder}/${name}`);
    await disk.syncFolder(folder);
  }

  async function bring(host: string, registry: OrderedRegistry, found: Found): Promise<FolderOutcome> {
    const folder = `${root}/${host}`;
    const files = wanted(host, registry, originOf(host, found));
    for (const name of found.leftovers) await disk.removeFile(`${folder}/${name}`);
    if (found.hosts === files.hosts && found.ca === files.ca) return { kind: "unchanged" };
    if (files.ca !== undefined && found.ca !== files.ca) await replace(folder, caFileName, files.ca);
    if (found.hosts !== files.hosts) await replace(folder, hostsFileName, files.hosts);
    if (files.ca === undefined && found.ca !== undefined) await disk.removeFile(`${folder}/${caFileName}`);
    return { kind: "written" };
  }

  /** Only for folders whose name says that they are temporary ones of ours. */
  async function removeFolderOfOurs(folder: string): Promise<void> {
    const names = await disk.list(folder);
    if (names === undefined) return;
    for (const name of names) await disk.removeFile(`${folder}/${name}`);
    await disk.removeFolder(folder);
  }

  async function removeHost(host: string): Promise<void> {
    const folder = `${root}/${host}`;
    const found = await inspect(folder);
    if (found.origin === "made" && found.others.length === 0 && foreignPart(host, found) === undefined) {
      const temporary = `${root}/${temporaryPrefix}${host}`;
      await removeFolderOfOurs(temporary);
      await disk.rename(folder, temporary);
      await removeFolderOfOurs(temporary);
    } else {
      if (isOurHosts(host, found)) await disk.removeFile(`${folder}/${hostsFileName}`);
      if (isOurCa(host, found)) await disk.removeFile(`${folder}/${caFileName}`);
      for (const name of found.leftovers) await disk.removeFile(`${folder}/${name}`);
    }
    written.delete(host);
    await disk.syncFolder(root);
  }

  return {
    async write(host, registry) {
      const shadow = shadowFolder(host);
      if (shadow !== undefined && (await disk.kind(`${root}/${shadow}`)) !== undefined) {
        return { kind: "foreign", path: `${needs.runtimeRoot}/${shadow}` };
      }
      const kind = await disk.kind(`${root}/${host}`);
      if (kind !== undefined && kind !== "folder") return { kind: "foreign", path: `${needs.runtimeRoot}/${host}` };
      if (kind === undefined) {
        await makeWhole(host, registry);
        written.set(host, "made");
        return { kind: "written" };
      }
      const found = await inspect(`${root}/${host}`);
      const foreign = foreignPart(host, found);
      if (foreign !== undefined) return { kind: "foreign", path: `${needs.runtimeRoot}/${foreign}` };
      const outcome = await bring(host, registry, found);
      written.set(host, originOf(host, found));
      return outcome;
    },
    async removeAllBut(keep) {
      for (const name of (await disk.list(root)) ?? []) {
        if (keep.has(name) || (await disk.kind(`${root}/${name}`)) !== "folder") continue;
        if (name.startsWith(temporaryPrefix)) await removeFolderOfOurs(`${root}/${name}`);
        else if ((await inspect(`${root}/${name}`)).origin !== undefined) await removeHost(name);
      }
    },
    readCa: (host) => disk.read(`${root}/${host}/${caFileName}`),
  };
}

/**
 * The folder that containerd looks into before `<host>:<port>`.
 *
 * @see https://github.com/containerd/containerd/blob/main/core/remotes/docker/config/config_unix.go (hostPaths)
 */
function shadowFolder(host: string): string | undefined {
  const colon = host.lastIndexOf(":");
  return colon > 0 ? `${host.slice(0, colon)}_${host.slice(colon + 1)}_` : undefined;
}
