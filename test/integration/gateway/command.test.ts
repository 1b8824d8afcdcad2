import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { systemClock } from "../../../src/clock.ts";
import { resources } from "../../../src/cluster/resource.ts";
import { type RealApiServer, signal, startRealApiServer } from "../cluster/api-server.ts";
import { createKeySecret, prepareCluster, startGatewayCommand } from "./gateway-command.ts";
import { type Certificates, issueCertificates, namespaceObject } from "./harness.ts";
import { startRecorder } from "./recorder.ts";
import { createRegistryClient, pullLogin } from "./registry-client.ts";

describe("slipway gateway against a real API server", () => {
  let server: RealApiServer;
  let recorder: Awaited<ReturnType<typeof startRecorder>>;
  let certificates: Certificates;
  before(async () => {
    server = await startRealApiServer();
    recorder = await startRecorder();
    certificates = await issueCertificates();
    await prepareCluster(server, certificates);
  });
  after(async () => {
    await recorder.stop();
    await server.stop();
  });

  test("is ready once it has read the key Secret, follows namespaces, and ends cleanly", async () => {
    const { kubeconfigPath } = server.controlPlane;
    const gateway = await startGatewayCommand({ kubeconfigPath, distributionUrl: recorder.url });
    await gateway.untilReadyz(/^\[-\]keys failed: [^[]*not ok\n$/);
    await createKeySecret(server);
    await gateway.untilReadyz(/^ok\n$/);
    const { metadata } = namespaceObject("team-x", "");
    const created = await server.api.create(
      resources.namespaces,
      { metadata: { name: "team-x", labels: metadata.labels ?? {} } },
      { signal },
    );
    const client = createRegistryClient({ url: gateway.url, ca: certificates.ca });
    const login = pullLogin("team-x", created.metadata.uid ?? "");
    for (let token = ""; token === ""; await systemClock.sleep(100, signal)) {
      token = await client.token(login).catch(() => "");
    }
    client.close();
    assert.equal(await gateway.stop(), 0);
  });
});
