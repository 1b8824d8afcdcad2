import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { describe, type TestContext, test } from "node:test";
import { addressesInHosts, candidateNames, createHostLookup, parseResolvConf } from "./host-lookup.ts";

const hosts = "127.0.0.1 localhost\n10.0.0.5\tRegistry.example.com registry # ours\n::1 localhost\nrubbish x\n";

describe("names as the host resolves them", () => {
  test("resolv.conf: the first three servers, the last search list, ndots", () => {
    const text =
      "# c\nsearch a.example\nnameserver 10.0.0.2\nnameserver fe80::1%eth0\nnameserver x\nsearch b.example c.example ; d\noptions ndots:2 rotate\n";
    assert.deepEqual(parseResolvConf(text), {
      servers: ["10.0.0.2", "fe80::1%eth0"],
      search: ["b.example", "c.example"],
      ndots: 2,
    });
  });
  test("an empty file has the defaults", () => {
    assert.deepEqual(parseResolvConf(""), { servers: [], search: [], ndots: 1 });
  });
  test("/etc/hosts, whatever the case, comments left out", () => {
    assert.deepEqual(addressesInHosts(hosts, "registry.EXAMPLE.com"), ["10.0.0.5"]);
    assert.deepEqual(addressesInHosts(hosts, "localhost"), ["127.0.0.1", "::1"]);
    assert.deepEqual(addressesInHosts(hosts, "ours"), []);
  });
  test("search domains come after a name with enough dots, and before one with fewer", () => {
    const config = { servers: [], search: ["corp.example", "."], ndots: 2 };
    assert.deepEqual(candidateNames("a.b.c", config), ["a.b.c", "a.b.c.corp.example"]);
    assert.deepEqual(candidateNames("a.b", config), ["a.b.corp.example", "a.b"]);
    assert.deepEqual(candidateNames("a.b.", config), ["a.b"]);
  });
});

describe("the host's lookup from the agent", () => {
  const lookupWith = (files: Readonly<Record<string, string>>) =>
    createHostLookup({
      disk: { read: async (path) => files[path] },
      hostsFile: "/etc/hosts",
      resolvConf: "/host/resolv.conf",
      ownResolvConf: "/etc/resolv.conf",
    });

  test("/etc/hosts comes first", async () => {
    assert.deepEqual(await lookupWith({ "/etc/hosts": hosts }).addresses("registry.example.com"), ["10.0.0.5"]);
  });
  test("without the host's resolv.conf a Service's name counts as unknown, though the agent's own DNS has it", async () => {
    const lookup = lookupWith({ "/etc/resolv.conf": "nameserver 127.0.0.1\n" });
    for (const name of ["registry.slipway-system.svc", "registry.slipway-system.svc.cluster.local"]) {
      await assert.rejects(lookup.addresses(name), { code: "ENOTFOUND" });
    }
    const listed = lookupWith({ "/etc/hosts": "10.0.0.9 registry.slipway-system.svc\n" });
    assert.deepEqual(await listed.addresses("registry.slipway-system.svc"), ["10.0.0.9"]);
  });
  test("the host's name servers are asked, and a server that refuses is no unknown name", async (t: TestContext) => {
    const asked = Promise.withResolvers<void>();
    const socket = createSocket("udp4", (query, from) => {
      asked.resolve();
      const answer = Buffer.from(query);
      // REFUSED, RFC 1035 section 4.1.1.
      answer.writeUInt16BE(0x8185, 2);
      socket.send(answer, from.port, from.address);
    });
    t.after(() => new Promise<void>((done) => socket.close(done)));
    try {
      await new Promise<void>((resolve, reject) => socket.once("error", reject).bind(53, "127.0.0.53", resolve));
    } catch (error) {
      t.skip(`port 53 cannot be had here: ${(error as Error).message}`);
      return;
    }
    const lookup = lookupWith({ "/host/resolv.conf": "nameserver 127.0.0.53\n" });
    await assert.rejects(lookup.addresses("registry.slipway-system.svc"), { code: "EREFUSED" });
    await asked.promise;
  });
});
