import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { parse } from "yaml";
import type { KubernetesObject } from "../../../src/cluster/object.ts";
import { type Resource, resources } from "../../../src/cluster/resource.ts";
import type { LocalRegistrySpec, NodeAccessMode } from "../../../src/config/local-registry.ts";
import { signal } from "../cluster/api-server.ts";
import { type ReconcilerStage, startReconcilerStage } from "./reconciler-stage.ts";

type Port = { readonly name: string; readonly port: number; readonly nodePort?: number; readonly targetPort: unknown };

const policies: Resource = {
  group: "admissionregistration.k8s.io",
  version: "v1",
  kind: "ValidatingAdmissionPolicy",
  plural: "validatingadmissionpolicies",
  namespaced: false,
};
const bindings: Resource = {
  ...policies,
  kind: "ValidatingAdmissionPolicyBinding",
  plural: "validatingadmissionpolicybindings",
};

describe("exposure of the hosted registry at a real API server", () => {
  let stage: ReconcilerStage;
  let server: ReconcilerStage["server"];
  let namespace: string;
  before(async () => {
    stage = await startReconcilerStage();
    ({ server, namespace } = stage);
  });
  after(() => server.stop());

  const ephemeral: LocalRegistrySpec = { storage: { ephemeral: {} } };
  /** The whole spec anew, as `kubectl replace` does it. */
  async function look(spec: LocalRegistrySpec, mode: NodeAccessMode = "HostsToml"): Promise<void> {
    const object = await stage.read();
    await server.api.replace(resources.localRegistries, { ...object, spec: { ...ephemeral, ...spec } }, { signal });
    await stage
      .reconciler({
        nodeAddress: () => "192.0.2.1",
        nodes: () => ({
          nodes: { mode, ready: 1, total: 1, summary: "1/1" },
          condition: { type: "NodesReady", status: "True", reason: "AllNodesPass", message: "" },
        }),
      })
      .reconcile("default", signal);
  }
  async function start(): Promise<void> {
    await stage.create(ephemeral);
    await look({});
    await stage.makeAvailable();
    await look({});
    assert.equal(await stage.readyReason(), "Serving");
  }
  const service = async () =>
    (await stage.get("services", "registry")).spec as { type: string; ports: readonly Port[] };
  const ports = async () =>
    (await service()).ports.map(({ port, nodePort }) => (nodePort === undefined ? port : [port, nodePort]));

  test("a NodePort that another Service has is refused in the API server's words, and taken when it is free", async () => {
    await start();
    const other = {
      metadata: { name: "other", namespace },
      spec: { type: "NodePort", ports: [{ port: 80, nodePort: 31113 }] },
    };
    await server.api.create(resources.services, other, { signal });
    await look({ exposure: { nodePort: 31113 } });
    const ready = await stage.condition("Ready");
    assert.equal(`${ready?.status} ${ready?.reason}`, "False ObjectRefused");
    assert.match(ready?.message ?? "", /Service .*registry.*31113.*already allocated/);
    assert.equal((await stage.condition("StorageReady"))?.reason, "Writable");
    assert.deepEqual(await ports(), [443], "the Service goes on as it was");
    await server.api.delete(resources.services, { namespace, name: "other" }, { signal });
    await look({ exposure: { nodePort: 31113 } });
    assert.deepEqual(await ports(), [[443, 31113]]);
    await look({ exposure: { nodePort: 443 } });
    assert.match((await stage.condition("Ready"))?.message ?? "", /443.*valid ports/);
    await look({});
    assert.deepEqual(await ports(), [443]);
    assert.equal((await service()).type, "ClusterIP");
    await stage.remove();
  });

  test("ports come with host and aliases, once each, lead to the gateway, and go again, under a NodePort too", async () => {
    await start();
    const aliases = [
      "a.example.com:5000",
      "b.example.com:5000",
      "c.example.com:5443",
      "d.example.com:443",
      "e.example.com",
    ];
    await look({ host: "registry.example.com:8443", aliases });
    assert.deepEqual(await ports(), [443, 5000, 5443, 8443]);
    assert.ok((await service()).ports.every(({ targetPort }) => targetPort === "registry"));
    await look({ aliases, exposure: { nodePort: 31113 } });
    const exposed = (await service()).ports;
    assert.deepEqual(
      exposed.map(({ port }) => port),
      [443, 5000, 5443],
    );
    assert.equal(exposed[0]?.nodePort, 31113);
    const { resourceVersion } = (await stage.get("services", "registry")).metadata;
    await look({ aliases, exposure: { nodePort: 31113 } });
    assert.equal((await stage.get("services", "registry")).metadata.resourceVersion, resourceVersion);
    await look({ aliases: ["a.example.com:6000"], exposure: { nodePort: 31114 } });
    assert.deepEqual(
      (await service()).ports.map(({ port }) => port),
      [443, 6000],
    );
    await look({});
    assert.deepEqual(await ports(), [443]);
    assert.equal(await stage.readyReason(), "Serving");
    await stage.remove();
  });

  test("the Ingress follows host, class and Secret, and goes with its field", async () => {
    await start();
    const ingress = async () => {
      const { spec } = await stage.get("ingresses", "registry");
      const { ingressClassName, rules, tls } = spec as {
        ingressClassName?: string;
        rules: { host: string }[];
        tls: { hosts: string[]; secretName?: string }[];
      };
      return [ingressClassName, rules.map(({ host }) => host), tls];
    };
    await look({ exposure: { ingress: { host: "a.example.com", className: "nginx", tlsSecretName: "a" } } });
    assert.deepEqual(await ingress(), ["nginx", ["a.example.com"], [{ hosts: ["a.example.com"], secretName: "a" }]]);
    await look({ exposure: { ingress: { host: "b.example.com", className: "haproxy", tlsSecretName: "b" } } });
    assert.deepEqual(await ingress(), ["haproxy", ["b.example.com"], [{ hosts: ["b.example.com"], secretName: "b" }]]);
    await look({ exposure: { ingress: { host: "b.example.com" } } });
    assert.deepEqual(await ingress(), [undefined, ["b.example.com"], [{ hosts: ["b.example.com"] }]]);
    await look({});
    await assert.rejects(ingress(), { status: 404 });
    await stage.remove();
  });

  const address = { namespace: "kube-public", name: "local-registry-hosting" };
  const document = () => server.api.get(resources.configMaps, address, signal);
  const fields = async () => {
    const { data } = await document();
    return parse((data as Record<string, string>)["localRegistryHosting.v1"] ?? "") as Record<string, string>;
  };

  test("the document of KEP-1755 keeps in step with each exposure and each node access", async () => {
    await start();
    const exposures = [
      { exposure: {}, host: "localhost:5443" },
      { exposure: { nodePort: 31113 }, host: "192.0.2.1:31113" },
      { exposure: { ingress: { host: "images.example.com" } }, host: "images.example.com" },
    ];
    const modes = [
      { mode: "External", fromRuntime: "registry.example.com" },
      { mode: "HostsToml", fromRuntime: "registry.example.com" },
      { mode: "LoopbackProxy", fromRuntime: "127.0.0.1:7443" },
      { mode: "None", fromRuntime: undefined },
    ] as const;
    for (const { exposure, host } of exposures) {
      for (const { mode, fromRuntime } of modes) {
        await look({ host: "registry.example.com", exposure }, mode);
        const { help, ...hosts } = await fields();
        const inCluster = "registry.slipway-system.svc";
        const wanted = { host, hostFromContainerRuntime: fromRuntime, hostFromClusterNetwork: inCluster };
        assert.deepEqual(hosts, JSON.parse(JSON.stringify(wanted)), `${host} ${mode}`);
        assert.ok(URL.canParse(help?.split("\n")[0] ?? ""));
        const { endpoints } = (await stage.read()).status as { endpoints: object };
        assert.deepEqual(endpoints, hosts, "the status says the same");
      }
    }
    await stage.remove();
    await assert.rejects(document(), { status: 404 });
  });

  test("the document comes back when it is edited or deleted", async () => {
    await start();
    const good = await fields();
    await server.api.merge(resources.configMaps, address, { data: { "localRegistryHosting.v1": "host: x\n" } }, signal);
    await look({});
    assert.deepEqual(await fields(), good);
    await server.api.delete(resources.configMaps, address, { signal });
    await look({});
    assert.deepEqual(await fields(), good);
    await stage.remove();
  });

  test("a policy that refuses the document is told, and costs nothing else", async () => {
    await start();
    await server.api.delete(resources.configMaps, address, { signal });
    const rule = { apiGroups: [""], apiVersions: ["v1"], operations: ["CREATE"], resources: ["configmaps"] };
    const policy: KubernetesObject = {
      metadata: { name: "no-documents" },
      spec: {
        matchConstraints: { resourceRules: [rule] },
        validations: [
          { expression: "object.metadata.name != 'local-registry-hosting'", message: "not in our cluster" },
        ],
      },
    };
    await server.api.create(policies, policy, { signal });
    const spec = { policyName: "no-documents", validationActions: ["Deny"] };
    await server.api.create(bindings, { metadata: { name: "no-documents" }, spec }, { signal });
    const ready = () => stage.condition("Ready");
    // The API server takes a second or so to follow a policy.
    while ((await ready())?.reason !== "ObjectRefused") {
      await server.api.delete(resources.configMaps, address, { signal }).catch(() => undefined);
      await look({});
    }
    assert.equal((await ready())?.status, "True");
    assert.match((await ready())?.message ?? "", /local-registry-hosting.*not in our cluster/);
    await server.api.delete(bindings, { name: "no-documents" }, { signal });
    await stage.remove();
  });

  const refused = [
    { name: "the same alias twice", aliases: ["a.example.com", "a.example.com"] },
    { name: "a path", aliases: ["a.example.com/x"] },
    { name: "a scheme", aliases: ["https://a.example.com"] },
    { name: "upper case", aliases: ["A.example.com"] },
    { name: "no dot and no port", aliases: ["registry"] },
    { name: "a port above 65535", aliases: ["a.example.com:70000"] },
    { name: "port 0", aliases: ["a.example.com:0"] },
    { name: "Docker Hub", aliases: ["docker.io"] },
  ];
  for (const { name, aliases } of refused) {
    test(`an alias that the API server refuses: ${name}`, async () => {
      await assert.rejects(stage.create({ aliases }), { status: 422 });
    });
  }
});
