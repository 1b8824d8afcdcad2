import assert from "node:assert/strict";
import { execFile, spawnSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { hostname, networkInterfaces, tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { registryCertificateSecretName, systemNamespace } from "../../../src/config/names.ts";
import { certificateNames } from "../../../src/tls/certificate.ts";
import { issueAuthority, issueLeaf } from "../../../src/tls/issue.ts";
import { leafSecret } from "../../../src/tls/leaf-secret.ts";
import { findDistribution, issueCertificates, startGateway, startStore, type TestGateway } from "../gateway/harness.ts";
import { pushLogin } from "../gateway/registry-client.ts";

const execute = promisify(execFile);
const main = new URL("../../../src/main.ts", import.meta.url).pathname;
const program = await findDistribution();
/** Not a loopback one: docker trusts whatever answers there. */
const address = Object.values(networkInterfaces())
  .flat()
  .find((entry) => entry !== undefined && entry.family === "IPv4" && !entry.internal)?.address;

/** The daemon has to see this machine's files. */
function isDockerHere(): boolean {
  const { status, stdout } = spawnSync("docker", ["info", "--format", "{{.Name}}"], { timeout: 30_000 });
  return status === 0 && stdout.toString().trim() === hostname();
}

const lacking =
  program === undefined
    ? "no `registry` (CNCF Distribution 3.1)"
    : address === undefined
      ? "this machine has no address but loopback"
      : process.getuid?.() !== 0
        ? "only root may write /etc/docker/certs.d"
        : isDockerHere()
          ? undefined
          : "no docker daemon on this machine";

/** The very docker of this host, the registry's own front door, and files that `slipway node-files` wrote. */
describe("docker on a host that is no node", { skip: lacking ?? false }, () => {
  let store: Awaited<ReturnType<typeof startStore>>;
  let gateway: TestGateway;
  let folder = "";
  let host = "";
  let image = "";

  before(async () => {
    const nowMs = Date.now();
    const issued = await issueCertificates();
    const authority = await issueAuthority({ commonName: "test CA", nowMs });
    const names = certificateNames([address ?? ""]);
    const leaf = await issueLeaf({ authority, commonName: "registry", names, nowMs });
    const metadata = { name: registryCertificateSecretName, namespace: systemNamespace };
    const serving = { metadata, ...leafSecret(leaf, authority.certificate) };
    const others = issued.secrets.filter((secret) => secret.metadata.name !== registryCertificateSecretName);
    const certificates = { ...issued, ca: authority.certificate, secrets: [serving, ...others] };
    store = await startStore(program ?? "", issued.tokenCa);
    gateway = await startGateway({
      distributionUrl: store.url,
      certificates,
      needs: { listen: { port: 0, host: address ?? "", lingerMs: 0 } },
    });
    host = `${address}:${new URL(gateway.url).port}`;
    image = `${host}/team-a/app:1`;
    folder = await mkdtemp(join(tmpdir(), "slipway-docker-"));
    await writeFile(join(folder, "ca.crt"), authority.certificate);
    await makeImage();
  });

  after(async () => {
    await rm(`/etc/docker/certs.d/${host}`, { recursive: true, force: true });
    await docker("rmi", "--force", image).catch(() => undefined); // a test that failed may have left none
    await gateway?.stop();
    await store?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  /** The docker of a user who has logged in to nothing else. */
  const docker = (...args: readonly string[]) => execute("docker", ["--config", folder, ...args]);

  /** An image of one file, made without pulling anything. */
  async function makeImage(): Promise<void> {
    await writeFile(join(folder, "content"), host);
    await execute("tar", ["--create", "--file", join(folder, "image.tar"), "--directory", folder, "content"]);
    await docker("import", join(folder, "image.tar"), image);
  }

  async function login(): Promise<void> {
    const { username, password } = pushLogin("team-a", "uid-a");
    const child = execute("docker", ["--config", folder, "login", "--username", username, "--password-stdin", host]);
    child.child.stdin?.end(password);
    await child;
  }

  test("does not trust the registry by itself", async () => {
    await assert.rejects(login(), /certificate signed by unknown authority|x509/);
  });

  test("logs in, pushes and pulls with the files alone, without a restart", async () => {
    const args = ["node-files", "--host", host, "--ca", join(folder, "ca.crt"), "--runtime", "docker", "--write"];
    const { stdout } = await execute(process.execPath, [main, ...args]);
    assert.equal(stdout, `/etc/docker/certs.d/${host}/ca.crt written\n`);
    await login();
    await docker("push", image);
    await docker("rmi", image);
    await docker("pull", image);
    await docker("image", "inspect", image);
  });

  test("trusts it no longer when they are gone", async () => {
    await rm(`/etc/docker/certs.d/${host}`, { recursive: true });
    await docker("rmi", image);
    await assert.rejects(docker("pull", image), /certificate signed by unknown authority|x509/);
  });
});
