import assert from "node:assert/strict";
import { test } from "node:test";
import { parse } from "yaml";
import type { LocalRegistrySpec } from "../config/local-registry.ts";
import { registryNames } from "../config/registry-names.ts";
import { hostedCertificateNames } from "./certificate-names.ts";
import { addressOfNodes, type EndpointFacts, hostingDocument, registryEndpoints } from "./hosting-document.ts";

const at = (spec: LocalRegistrySpec, facts: Partial<EndpointFacts> = {}) =>
  registryEndpoints(spec, { names: registryNames(spec), mode: "HostsToml", nodeAddress: "192.0.2.1", ...facts });
const service = "registry.slipway-system.svc";

const outside = [
  { name: "a tunnel where nothing is exposed", spec: {}, host: "localhost:5443" },
  { name: "a node's address with a NodePort", spec: { exposure: { nodePort: 31113 } }, host: "192.0.2.1:31113" },
  {
    name: "the Ingress before the NodePort",
    spec: { exposure: { nodePort: 31113, ingress: { host: "registry.example.com" } } },
    host: "registry.example.com",
  },
  {
    name: "the external address",
    spec: { external: { url: "https://registry.example.com:8443/" } },
    host: "registry.example.com:8443",
  },
];
for (const { name, spec, host } of outside) test(`from outside: ${name}`, () => assert.equal(at(spec).host, host));

test("from the runtime: the canonical name, the loopback address, or nothing, by mode", () => {
  const from = (mode: EndpointFacts["mode"]) => at({ host: "registry.example.com" }, { mode }).hostFromContainerRuntime;
  assert.equal(from("HostsToml"), "registry.example.com");
  assert.equal(from("LoopbackProxy"), "127.0.0.1:7443");
  assert.equal(from("None"), undefined);
  assert.equal(from(null), undefined);
});

test("an IPv6 node stands in brackets", () => {
  const spec = { exposure: { nodePort: 31113 } };
  assert.equal(at(spec, { nodeAddress: "2001:db8::1" }).host, "[2001:db8::1]:31113");
});

test("a NodePort is told by the first Ready node by name, by a dead one only without any other", () => {
  const node = (name: string, readySinceMs: number | undefined, ...addresses: readonly string[]) => {
    return { name, readySinceMs, addresses };
  };
  const dead = node("a", undefined, "192.0.2.1");
  const nodes = [node("d", 1, "192.0.2.4"), node("c", 1, "192.0.2.3", "c"), node("b", 1), dead];
  assert.equal(addressOfNodes(nodes), "192.0.2.3");
  assert.equal(addressOfNodes([...nodes].reverse()), "192.0.2.3");
  assert.equal(addressOfNodes([dead]), "192.0.2.1");
  assert.equal(addressOfNodes([]), undefined);
});

test("help begins with the address of the documentation, and tells of the tunnel only where one is needed", () => {
  const help = (spec: LocalRegistrySpec) => {
    const data = hostingDocument(at(spec), null).data as Record<string, string>;
    return (parse(data["localRegistryHosting.v1"] ?? "") as { help: string }).help;
  };
  assert.ok(URL.canParse(help({}).split("\n")[0] ?? ""));
  assert.match(help({}), /port-forward/);
  assert.doesNotMatch(help({ exposure: { nodePort: 31113 } }), /port-forward|BEGIN/);
});

test("the document is YAML with the four fields, the CA in its help", () => {
  const document = hostingDocument(at({}), "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n");
  const data = document.data as Record<string, string>;
  const parsed = parse(data["localRegistryHosting.v1"] ?? "") as Record<string, string>;
  assert.deepEqual(Object.keys(parsed), ["host", "hostFromContainerRuntime", "hostFromClusterNetwork", "help"]);
  assert.equal(parsed.hostFromClusterNetwork, service);
  assert.match(parsed.help ?? "", /port-forward[\s\S]*BEGIN CERTIFICATE/);
});

test("the certificate carries every name that a client may use", () => {
  const spec = {
    host: "registry.example.com",
    aliases: ["container-registry.local:5000", "[2001:db8::2]:5000"],
    exposure: { ingress: { host: "images.example.com" }, extraNames: ["192.0.2.9"] },
  };
  const facts = { clusterIPs: ["10.96.0.10", "fd00::10", "None"], nodeAddresses: ["192.0.2.1", "node-1"] };
  const { dnsNames, addresses } = hostedCertificateNames(spec, facts);
  for (const name of ["registry", service, "localhost", "registry.example.com", "container-registry.local"]) {
    assert.ok(dnsNames.includes(name), name);
  }
  assert.ok(dnsNames.includes("images.example.com"));
  for (const address of ["127.0.0.1", "10.96.0.10", "fd00::10", "192.0.2.9", "2001:db8::2"]) {
    assert.ok(addresses.includes(address), address);
  }
  assert.ok(!addresses.includes("192.0.2.1"), "node addresses only with a NodePort");
  const exposed = hostedCertificateNames({ exposure: { nodePort: 31113 } }, facts);
  assert.ok(exposed.addresses.includes("192.0.2.1") && exposed.dnsNames.includes("node-1"));
});

test("of very many nodes the certificate carries what a client still takes", () => {
  const nodes = Array.from({ length: 5_000 }, (_, index) => {
    const [high, low] = [index >> 8, index & 255];
    return [`10.1.${high}.${low}`, `ip-10-1-${high}-${low}.eu-central-1.compute.internal`];
  });
  const { dnsNames, addresses } = hostedCertificateNames(
    { exposure: { nodePort: 31113 } },
    { clusterIPs: [], nodeAddresses: nodes.flat() },
  );
  assert.equal(addresses.filter((address) => address.startsWith("10.1.")).length, 3_000);
  assert.equal(dnsNames.filter((name) => name.startsWith("ip-")).length, 500);
  assert.ok(dnsNames.includes(service), "its own names come first");
});
