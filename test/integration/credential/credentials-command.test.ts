import assert from "node:assert/strict";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough, Readable } from "node:stream";
import { after, before, test } from "node:test";
import type { ClusterApi } from "../../../src/cluster/api.ts";
import { resources } from "../../../src/cluster/resource.ts";
import { run } from "../../../src/command/credentials.ts";
import { readSecretSource } from "../../../src/credential/secret-source.ts";
import { findControlPlanePrograms } from "../../../src/dev/programs.ts";
import { runToEnd } from "../../../src/dev/run-to-end.ts";
import { challenge, type RegistryEndpoint, startRegistryEndpoint } from "../../fake/registry-endpoint.ts";
import { manifestsFolder } from "../manifests/cluster.ts";
import { eventually, startTestCluster, type TestCluster } from "./cluster.ts";

const signal = AbortSignal.timeout(600_000);
const secrets = ["hush-1", "hush-2", "hush-3"];

let cluster: TestCluster;
let api: ClusterApi;
let folder: string;
let registry: RegistryEndpoint;
before(async () => {
  cluster = await startTestCluster();
  api = cluster.api;
  const { kubectl } = await findControlPlanePrograms({ env: process.env, announce: () => undefined });
  const crds = `${manifestsFolder}/crds`;
  await runToEnd({ command: kubectl, args: ["--kubeconfig", cluster.kubeconfigPath, "apply", "-k", crds] });
  await eventually("the CRD is served", () => api.list(resources.pullCredentials, {}, signal).catch(() => undefined));
  await api.create(resources.namespaces, { metadata: { name: "slipway-system" } }, { signal });
  folder = await mkdtemp(join(tmpdir(), "slipway-credentials-test-"));
  // A registry that takes one login.
  registry = await startRegistryEndpoint((request, response) => {
    const right = `Basic ${Buffer.from("right:hush-1").toString("base64")}`;
    if (request.url?.startsWith("/auth/token")) {
      response.writeHead(request.headers.authorization === right ? 200 : 401);
      response.end(request.headers.authorization === right ? '{"token":"t"}' : "{}");
    } else if (request.headers.authorization === "Bearer t") response.writeHead(200).end("{}");
    else challenge(request, response);
  });
  await writeFile(join(folder, "ca.crt"), registry.ca);
});
after(async () => {
  await registry?.close();
  await rm(folder, { recursive: true, force: true });
  await cluster.stop();
});

/** Runs the command; fails when anything that it says holds a password. */
async function credentials(args: readonly string[], input = "", env: Readonly<Record<string, string>> = {}) {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const code = await run({
    args: [...args, "--kubeconfig", cluster.kubeconfigPath],
    env: { PATH: process.env.PATH, ...env },
    stdin: Readable.from([Buffer.from(input)]),
    stdout,
    stderr,
    stop: signal,
  });
  const said = { stdout: String(stdout.read() ?? ""), stderr: String(stderr.read() ?? "") };
  for (const secret of secrets) assert.ok(!`${said.stdout}${said.stderr}`.includes(secret), "a password was printed");
  return { code, ...said };
}

const read = async (name: string) =>
  readSecretSource(await api.get(resources.secrets, { namespace: "slipway-system", name }, signal), { name });

test("import tutor takes the dictionary out of a whole config.yml, and nothing else", async () => {
  const config = `
LMS_HOST: learn.example.com
MYSQL_ROOT_PASSWORD: hush-2
REGISTRY_CREDENTIALS:
  images.example.com:
    key_name: team-key
    username: u
    password: hush-1
    email: a@example.com
`;
  const { code, stdout } = await credentials(["import", "tutor", "-f", "-"], config);
  assert.equal(code, 0);
  assert.match(stdout, /PullCredential tutor covers images\.example\.com/);
  const reading = await read("tutor");
  assert.deepEqual(reading.kind === "entries" && reading.entries, {
    "images.example.com": { username: "u", password: "hush-1", email: "a@example.com", keyName: "team-key" },
  });
  const secret = await api.get(resources.secrets, { namespace: "slipway-system", name: "tutor" }, signal);
  assert.ok(!Buffer.from(JSON.stringify(secret.data)).includes(Buffer.from("hush-2").toString("base64").slice(0, 8)));
  const made = await api.get(resources.pullCredentials, { name: "tutor" }, signal);
  assert.deepEqual((made.spec as { sources: unknown }).sources, [{ secretRef: { name: "tutor" } }]);
});

test("import docker asks the credential helper by its protocol, and reports what cannot be used", async () => {
  const helper = join(folder, "docker-credential-test");
  await writeFile(
    helper,
    `#!/bin/sh
read -r host
case "$1 $host" in
  "get kept.example.com") echo '{"ServerURL":"kept.example.com","Username":"k","Secret":"hush-2"}' ;;
  "get cloud.example.com") echo '{"ServerURL":"cloud.example.com","Username":"<token>","Secret":"hush-3"}' ;;
  *) echo 'credentials not found in native keychain'; exit 1 ;;
esac
`,
  );
  await chmod(helper, 0o755);
  const auth = Buffer.from("p:hush-1").toString("base64");
  const config = {
    auths: { "plain.example.com": { auth }, "https://index.docker.io/v1/": { auth } },
    credHelpers: { "kept.example.com": "test", "cloud.example.com": "test", "gone.example.com": "test" },
  };
  await writeFile(join(folder, "config.json"), JSON.stringify(config));
  const env = { DOCKER_CONFIG: folder, PATH: `${folder}:${process.env.PATH}` };
  const { code, stderr } = await credentials(["import", "docker"], "", env);
  assert.equal(code, 1);
  assert.match(stderr, /cloud\.example\.com: holds only an identity token/);
  assert.match(stderr, /gone\.example\.com: docker-credential-test keeps no login for it/);
  const reading = await read("docker");
  assert.deepEqual(reading.kind === "entries" && Object.keys(reading.entries).sort(), [
    "https://index.docker.io/v1/",
    "kept.example.com",
    "plain.example.com",
  ]);
  const one = ["import", "docker", "--host", "kept.example.com", "--name", "kept"];
  assert.equal((await credentials(one, "", env)).code, 0);
  const kept = await read("kept");
  assert.deepEqual(kept.kind === "entries" && kept.entries, {
    "kept.example.com": { username: "k", password: "hush-2" },
  });
});

test("an object that no import made stays as it is", async () => {
  const own = { metadata: { name: "own", namespace: "slipway-system" }, stringData: { a: "b" } };
  await api.create(resources.secrets, own, { signal });
  const imported = await credentials(
    ["import", "tutor", "-f", "-", "--name", "own"],
    "a.example.com: {username: u, password: p}",
  );
  assert.equal(imported.code, 2);
  assert.match(imported.stderr, /Secret own was not made by slipway credentials import/);
  assert.equal((await credentials(["remove", "own"])).code, 2);
  await api.get(resources.secrets, { namespace: "slipway-system", name: "own" }, signal);
});

test("check follows the challenge with each login and says which are refused", async () => {
  const host = new URL(registry.url).host;
  const docker = async (name: string, password: string) => {
    const auths = { [host]: { username: "right", password }, "*.example.com": { username: "u", password: "hush-3" } };
    await writeFile(join(folder, `${name}.json`), JSON.stringify({ auths }));
    assert.equal(
      (await credentials(["import", "docker", "--config", join(folder, `${name}.json`), "--name", name])).code,
      0,
    );
  };
  await docker("good", "hush-1");
  await docker("bad", "hush-2");
  const check = (name: string) => credentials(["check", name, "--ca-file", join(folder, "ca.crt"), "-o", "json"]);
  const results = ({ stdout }: { readonly stdout: string }) =>
    (JSON.parse(stdout) as { registry: string; result: string }[]).map(({ registry, result }) => [registry, result]);
  const good = await check("good");
  assert.deepEqual([good.code, new Map(results(good) as [string, string][]).get(host)], [0, "accepted"]);
  assert.equal(new Map(results(good) as [string, string][]).get("*.example.com"), "pattern");
  const bad = await check("bad");
  assert.deepEqual([bad.code, new Map(results(bad) as [string, string][]).get(host)], [1, "refused"]);
  const unknown = await credentials(["check", "good"]);
  assert.equal(unknown.code, 1, "without the CA the registry is not trusted, and no login is sent");
});

test("list shows each, and remove takes both objects away", async () => {
  const { stdout } = await credentials(["list"]);
  assert.match(stdout, /^NAME +REGISTRIES +SYNCED +READY +REASON +SOURCES$/m);
  assert.match(stdout, /^tutor .* secret\/tutor$/m);
  assert.equal((await credentials(["remove", "tutor"])).code, 0);
  assert.equal((await credentials(["remove", "tutor"])).code, 2);
  await assert.rejects(api.get(resources.secrets, { namespace: "slipway-system", name: "tutor" }, signal), {
    status: 404,
  });
});
