import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { issueAuthority } from "../tls/issue.ts";
import { checkOrders, refuseName } from "./validate-orders.ts";

describe("names that an agent writes a folder for", () => {
  for (const name of [
    "registry.slipway-system.svc",
    "container-registry.local:5000",
    "localhost",
    "localhost:5000",
    "10.0.0.1:5000",
    "Registry.Example.COM",
  ]) {
    test(`${name} is one`, () => assert.equal(refuseName(name), undefined));
  }
  for (const name of [
    "",
    ".",
    "..",
    "../etc",
    "a/b",
    "a/../b.c",
    "/etc/passwd",
    "_default",
    "registry",
    "a.b:0",
    "a.b:65536",
    "a.b:x",
    "a.b:",
    ":5000",
    "a_b.c",
    "-a.b",
    "a-.b",
    "a..b",
    "a.b\n",
    "a.b c",
    "a.b\u0000",
    "[::1]:5000",
    "https://a.b",
    "user@a.b",
    "docker.io",
    "Docker.io",
    "docker.io:443",
    "index.docker.io",
    "registry-1.docker.io",
    "registry.hub.docker.com",
    `${"a".repeat(200)}.b`,
  ]) {
    test(`${JSON.stringify(name.slice(0, 40))} is none`, () => assert.notEqual(refuseName(name), undefined));
  }
});

describe("orders that an agent carries out", () => {
  let ca = "";
  before(async () => {
    ca = (await issueAuthority({ commonName: "test", nowMs: Date.now() })).certificate;
  });
  const registry = (fields: object = {}) => ({
    names: ["registry.slipway-system.svc"],
    server: "https://10.96.0.10:443",
    serverName: "registry.slipway-system.svc",
    ca,
    loopbackPort: 7443,
    checkLogin: null,
    ...fields,
  });
  const orders = (fields: object = {}) => ({
    protocol: 1,
    revision: "r",
    registry: registry(),
    modes: ["HostsToml"],
    remove: ["LoopbackProxy"],
    lookCount: 0,
    runtime: { name: "containerd", version: "2.1.9" },
    ...fields,
  });

  test("are read back as they were given", () => {
    const checked = checkOrders(orders());
    assert.deepEqual(checked?.orders, orders({ registry: registry({ kind: "hosted" }) }));
    assert.deepEqual(checked?.refused, []);
  });
  test("fields and modes that this version does not know are left out", () => {
    const checked = checkOrders({ ...orders({ modes: ["Teleport", "HostsToml"] }), later: true });
    assert.deepEqual(checked?.orders.modes, ["HostsToml"]);
  });
  test("a bad name costs that name alone, and is told", () => {
    const checked = checkOrders(orders({ registry: registry({ names: ["a.b", "docker.io", "../x"] }) }));
    assert.deepEqual(checked?.orders.registry?.names, ["a.b"]);
    assert.equal(checked?.refused.length, 2);
  });
  test("a mode that is to be served is never removed", () => {
    assert.deepEqual(checkOrders(orders({ remove: ["HostsToml", "None"] }))?.orders.remove, ["None"]);
  });
  test("what is not a certificate does not get into the CA file", () => {
    const key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    const written = checkOrders(orders({ registry: registry({ ca: `${key}# note\n${ca}` }) }))?.orders.registry?.ca;
    assert.equal(written, ca);
  });

  const refusedOrders: Readonly<Record<string, unknown>> = {
    null: null,
    "a list": [],
    "no revision": orders({ revision: undefined }),
    "no modes": orders({ modes: undefined }),
    "a registry that is a text": orders({ registry: "x" }),
    "plain HTTP": orders({ registry: registry({ server: "http://10.96.0.10" }) }),
    "a server with a path": orders({ registry: registry({ server: "https://10.96.0.10/x" }) }),
    "a server with credentials": orders({ registry: registry({ server: "https://a:b@10.96.0.10" }) }),
    "a server with a line break": orders({ registry: registry({ server: 'https://10.96.0.10"\n[host]' }) }),
    "a server name with a slash": orders({ registry: registry({ serverName: "a/b" }) }),
    "a CA that is none": orders({ registry: registry({ ca: "rubbish" }) }),
    "a port that is none": orders({ registry: registry({ loopbackPort: 0 }) }),
  };
  for (const [name, value] of Object.entries(refusedOrders)) {
    test(`${name}: no orders`, () => assert.equal(checkOrders(value), undefined));
  }
});
