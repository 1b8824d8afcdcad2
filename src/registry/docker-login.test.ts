import assert from "node:assert/strict";
import { lstat, mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { type TestContext, test } from "node:test";
import { storeDockerLogin } from "./docker-login.ts";
import { dockerCertsDirectory, storeDockerTrust } from "./docker-trust.ts";

const login = { username: "admin", password: "secret" };
const host = "registry.example.com:5000";

async function folderOf(t: TestContext, config?: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "slipway-docker-"));
  t.after(() => rm(folder, { recursive: true }));
  if (config !== undefined) await writeFile(join(folder, "config.json"), config);
  return folder;
}

test("the login goes into config.json, whose other content stays, readable by the owner alone", async (t) => {
  const configDirectory = await folderOf(t, '{"auths":{"other.example.com":{"auth":"x"}},"currentContext":"a"}');
  const outcome = await storeDockerLogin({ configDirectory, env: {} }, host, login);
  assert.deepEqual(outcome, { kind: "file", path: join(configDirectory, "config.json") });
  const written: unknown = JSON.parse(await readFile(join(configDirectory, "config.json"), "utf8"));
  assert.deepEqual(written, {
    auths: { "other.example.com": { auth: "x" }, [host]: { auth: Buffer.from("admin:secret").toString("base64") } },
    currentContext: "a",
  });
  assert.equal((await stat(join(configDirectory, "config.json"))).mode & 0o777, 0o600);
});

test("a config.json that is a symbolic link stays one", async (t) => {
  const configDirectory = await folderOf(t);
  await writeFile(join(configDirectory, "elsewhere.json"), "{}");
  await symlink("elsewhere.json", join(configDirectory, "config.json"));
  await storeDockerLogin({ configDirectory, env: {} }, host, login);
  assert.ok((await lstat(join(configDirectory, "config.json"))).isSymbolicLink());
  assert.match(await readFile(join(configDirectory, "elsewhere.json"), "utf8"), /registry\.example\.com/);
});

test("a config.json that cannot be read or written is named", async (t) => {
  const configDirectory = await folderOf(t);
  await mkdir(join(configDirectory, "config.json"));
  await assert.rejects(storeDockerLogin({ configDirectory, env: {} }, host, login), { code: "CONFIG_INVALID" });
  await writeFile(join(configDirectory, "file"), "");
  const below = join(configDirectory, "file", ".docker");
  await assert.rejects(storeDockerLogin({ configDirectory: below, env: {} }, host, login), { code: "CONFIG_INVALID" });
});

test("a folder that does not exist is made", async (t) => {
  const configDirectory = join(await folderOf(t), "deep", ".docker");
  await storeDockerLogin({ configDirectory, env: {} }, host, login);
  assert.ok(await readFile(join(configDirectory, "config.json"), "utf8"));
});

test("a credential helper gets the login, and config.json does not hold it", async (t) => {
  const configDirectory = await folderOf(t, '{"credsStore":"test"}');
  const helper = join(configDirectory, "docker-credential-test");
  await writeFile(helper, `#!/bin/sh\n[ "$1" = store ] && cat > "${configDirectory}/got"\n`, { mode: 0o755 });
  const env = { PATH: [configDirectory, process.env.PATH].join(delimiter) };
  const outcome = await storeDockerLogin({ configDirectory, env }, host, login);
  assert.deepEqual(outcome, { kind: "helper", program: "docker-credential-test" });
  const got: unknown = JSON.parse(await readFile(join(configDirectory, "got"), "utf8"));
  assert.deepEqual(got, { ServerURL: host, Username: "admin", Secret: "secret" });
  assert.doesNotMatch(await readFile(join(configDirectory, "config.json"), "utf8"), /secret|YWRtaW4/);
});

test("a helper that is missing or fails is named", async (t) => {
  const configDirectory = await folderOf(t, `{"credHelpers":{"${host}":"absent"}}`);
  await assert.rejects(storeDockerLogin({ configDirectory, env: { PATH: "" } }, host, login), {
    code: "PROGRAM_FAILED",
  });
});

test("a config.json that is broken is left alone", async (t) => {
  const configDirectory = await folderOf(t, "{");
  await assert.rejects(storeDockerLogin({ configDirectory, env: {} }, host, login), { code: "CONFIG_INVALID" });
  assert.equal(await readFile(join(configDirectory, "config.json"), "utf8"), "{");
});

test("the CA goes where docker looks", async (t) => {
  const certsDirectory = await folderOf(t);
  const outcome = await storeDockerTrust({ certsDirectory, configDirectory: certsDirectory }, host, "pem");
  assert.deepEqual(outcome, { kind: "written", path: join(certsDirectory, host, "ca.crt") });
  assert.equal(await readFile(join(certsDirectory, host, "ca.crt"), "utf8"), "pem");
});

const places = [
  { name: "the system's daemon", env: {}, platform: "linux", want: "/etc/docker/certs.d" },
  {
    name: "a daemon elsewhere",
    env: { DOCKER_HOST: "tcp://192.0.2.1:2376" },
    platform: "linux",
    want: "/etc/docker/certs.d",
  },
  {
    name: "a rootless daemon",
    env: { DOCKER_HOST: "unix:///run/user/1000/docker.sock" },
    platform: "linux",
    want: "/home/me/.config/docker/certs.d",
  },
  {
    name: "a rootless daemon with another configuration folder",
    env: { DOCKER_HOST: "unix:///run/user/1000/docker.sock", XDG_CONFIG_HOME: "/home/me/etc" },
    platform: "linux",
    want: "/home/me/etc/docker/certs.d",
  },
  { name: "Docker Desktop on macOS", env: {}, platform: "darwin", want: "/home/me/.docker/certs.d" },
  { name: "Docker Desktop on Windows", env: {}, platform: "win32", want: "/home/me/.docker/certs.d" },
] as const;
for (const { name, env, platform, want } of places) {
  test(`the CA is put where ${name} looks for it`, () => {
    assert.equal(dockerCertsDirectory({ HOME: "/home/me", ...env }, platform), want);
  });
}
