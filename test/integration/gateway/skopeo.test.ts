import assert from "node:assert/strict";
import { execFile, spawnSync } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import type { Login } from "../../../src/credential/login.ts";
import { findDistribution, issueCertificates, startGateway, startStore, type TestGateway } from "./harness.ts";
import { digestOf, manifestType, pullLogin, pushLogin } from "./registry-client.ts";

const execute = promisify(execFile);
const program = await findDistribution();
const hasSkopeo = spawnSync("skopeo", ["--version"]).status === 0;
const skip =
  program === undefined || !hasSkopeo ? "no `registry` (CNCF Distribution 3.1) or no `skopeo` on PATH" : false;

describe("skopeo, a client that we did not write", { skip }, () => {
  let store: Awaited<ReturnType<typeof startStore>>;
  let gateway: TestGateway;
  before(async () => {
    const certificates = await issueCertificates();
    store = await startStore(program ?? "", certificates.tokenCa);
    gateway = await startGateway({ distributionUrl: store.url, certificates });
    await writeFile(join(store.folder, "ca.crt"), certificates.ca);
    await writeLayout(join(store.folder, "image"));
  });
  after(async () => {
    await gateway.stop();
    await store.stop();
  });

  const skopeo = (...args: readonly string[]) => execute("skopeo", ["--insecure-policy", ...args]);
  const address = (repository: string) => `docker://${new URL(gateway.url).host}/${repository}`;
  const credentials = (login: Login) => `${login.username}:${login.password}`;
  const push = (login: Login, repository: string) =>
    skopeo(
      "copy",
      "--preserve-digests",
      ...["--dest-cert-dir", store.folder, "--dest-creds", credentials(login)],
      `oci:${join(store.folder, "image")}:v1`,
      address(repository),
    );
  const pull = (login: Login, repository: string, to: string) =>
    skopeo(
      "copy",
      "--preserve-digests",
      ...["--src-cert-dir", store.folder, "--src-creds", credentials(login)],
      address(repository),
      `oci:${join(store.folder, to)}:v1`,
    );

  test("pushes with the push login, and the pull login gets the same bytes", async () => {
    await push(pushLogin("team-a", "uid-a"), "team-a/app:v1");
    await pull(pullLogin("team-a", "uid-a"), "team-a/app:v1", "pulled");
    const manifestOf = async (folder: string) => {
      const { manifests } = JSON.parse(await readFile(join(store.folder, folder, "index.json"), "utf8"));
      return manifests[0].digest as string;
    };
    assert.equal(await manifestOf("pulled"), await manifestOf("image"));
  });

  test("is refused with the pull login for a push, and with another namespace's login for a pull", async () => {
    const refused = (error: { readonly stderr?: string }) => {
      assert.match(error.stderr ?? "", /unauthorized|insufficient_scope|authentication required|denied/);
      return true;
    };
    await assert.rejects(push(pullLogin("team-a", "uid-a"), "team-a/other:v1"), refused);
    await assert.rejects(pull(pullLogin("team-b", "uid-b"), "team-a/app:v1", "stolen"), refused);
  });
});

/** An OCI layout with one small image. @see https://github.com/opencontainers/image-spec/blob/main/image-layout.md */
async function writeLayout(folder: string): Promise<void> {
  await mkdir(join(folder, "blobs", "sha256"), { recursive: true });
  const write = async (content: Buffer) => {
    const digest = digestOf(content);
    await writeFile(join(folder, "blobs", "sha256", digest.slice("sha256:".length)), content);
    return { digest, size: content.length };
  };
  // Two blocks of zeros are an empty tar archive.
  const layer = await write(Buffer.alloc(1_024));
  const rootfs = { type: "layers", diff_ids: [layer.digest] };
  const config = await write(Buffer.from(JSON.stringify({ architecture: "amd64", os: "linux", config: {}, rootfs })));
  const manifest = await write(
    Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: manifestType,
        config: { mediaType: "application/vnd.oci.image.config.v1+json", ...config },
        layers: [{ mediaType: "application/vnd.oci.image.layer.v1.tar", ...layer }],
      }),
    ),
  );
  const annotations = { "org.opencontainers.image.ref.name": "v1" };
  const manifests = [{ mediaType: manifestType, ...manifest, annotations }];
  await writeFile(join(folder, "index.json"), JSON.stringify({ schemaVersion: 2, manifests }));
  await writeFile(join(folder, "oci-layout"), JSON.stringify({ imageLayoutVersion: "1.0.0" }));
}
