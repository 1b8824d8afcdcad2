import { createHash, randomBytes } from "node:crypto";
import { mkdir, mkdtemp, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { mediaTypes } from "../../src/registry/media-type.ts";

/** A folder with an image of random content, as a program would write it. */
export type ImageFolder = { readonly path: string; readonly digest: string };

const digestOf = (bytes: Buffer | string) => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;

async function newFolder(): Promise<string> {
  return mkdtemp(join(tmpdir(), "slipway-image-"));
}

function configOf(layers: readonly Buffer[]): string {
  return JSON.stringify({
    architecture: "amd64",
    os: "linux",
    config: {},
    rootfs: { type: "layers", diff_ids: layers.map(digestOf) },
  });
}

/** An OCI image layout with an index of one image for each platform. @param absent platforms whose blobs are left out */
export async function writeOciLayout(options: {
  readonly name?: string;
  readonly platforms?: readonly string[];
  readonly absent?: readonly string[];
  readonly layerBytes?: number;
}): Promise<ImageFolder> {
  const path = await newFolder();
  await mkdir(join(path, "blobs", "sha256"), { recursive: true });
  const put = async (content: Buffer | string, isThere = true) => {
    const digest = digestOf(content);
    if (isThere) await writeFile(join(path, "blobs", "sha256", digest.slice(7)), content);
    return { digest, size: Buffer.byteLength(content) };
  };
  const manifests = [];
  for (const platform of options.platforms ?? ["linux/amd64"]) {
    const isThere = options.absent?.includes(platform) !== true;
    const layer = randomBytes(options.layerBytes ?? 1_000);
    const manifest = JSON.stringify({
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      config: { mediaType: mediaTypes.ociConfig, ...(await put(configOf([layer]), isThere)) },
      layers: [{ mediaType: mediaTypes.ociLayer, ...(await put(layer, isThere)) }],
    });
    const [os, architecture] = platform.split("/");
    manifests.push({
      mediaType: mediaTypes.ociManifest,
      ...(await put(manifest, isThere)),
      platform: { os, architecture },
    });
  }
  const index = JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests });
  const [only] = manifests;
  const root =
    manifests.length === 1 && only !== undefined ? only : { mediaType: mediaTypes.ociIndex, ...(await put(index)) };
  const annotations = options.name === undefined ? {} : { "io.containerd.image.name": options.name };
  await writeFile(
    join(path, "index.json"),
    JSON.stringify({ schemaVersion: 2, manifests: [{ ...root, annotations }] }),
  );
  await writeFile(join(path, "oci-layout"), '{"imageLayoutVersion":"1.0.0"}');
  return { path, digest: root.digest };
}

/** What `docker save` wrote before version 25, one layer twice and the second time as a link. */
export async function writeDockerArchive(name: string): Promise<ImageFolder & { readonly config: string }> {
  const path = await newFolder();
  const layer = randomBytes(2_000);
  const config = configOf([layer, layer]);
  const configName = `${digestOf(config).slice(7)}.json`;
  await writeFile(join(path, configName), config);
  await mkdir(join(path, "a"));
  await mkdir(join(path, "b"));
  await writeFile(join(path, "a", "layer.tar"), layer);
  await symlink("../a/layer.tar", join(path, "b", "layer.tar"));
  const manifest = [{ Config: configName, RepoTags: [name], Layers: ["a/layer.tar", "b/layer.tar"] }];
  await writeFile(join(path, "manifest.json"), JSON.stringify(manifest));
  return { path, digest: digestOf(layer), config: digestOf(config) };
}
