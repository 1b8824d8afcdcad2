import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { connect } from "node:tls";
import { registryProvidedCertificateSecretName, systemNamespace } from "../../../src/config/names.ts";
import { certificateNames } from "../../../src/tls/certificate.ts";
import { issueAuthority, issueLeaf } from "../../../src/tls/issue.ts";
import { issueCertificates, secretObject, startGateway } from "../gateway/harness.ts";
import { startRecorder } from "../gateway/recorder.ts";

test("a certificate of the user's own is never given to those who ask for the Service, whatever names it has", async (t) => {
  const recorder = await startRecorder();
  const gateway = await startGateway({ distributionUrl: recorder.url, certificates: await issueCertificates() });
  t.after(async () => {
    await gateway.stop();
    await recorder.stop();
  });
  const authority = await issueAuthority({ commonName: "a CA of the user's own", nowMs: Date.now() });
  const names = certificateNames(["registry.example.com", "registry.slipway-system.svc", "*.slipway-system.svc"]);
  const pair = await issueLeaf({ authority, commonName: "registry.example.com", names, nowMs: Date.now() });
  const values = { "tls.crt": pair.certificate, "tls.key": pair.key };
  gateway.secrets.set(
    `${systemNamespace}/${registryProvidedCertificateSecretName}`,
    secretObject(registryProvidedCertificateSecretName, values),
  );
  const isTrusted = async (servername: string, ca: string) => {
    const socket = connect({ host: "127.0.0.1", port: Number(new URL(gateway.url).port), servername, ca });
    const connected = await once(socket, "secureConnect").then(
      () => true,
      () => false,
    );
    socket.destroy();
    return connected;
  };
  assert.ok(await isTrusted("registry.example.com", authority.certificate));
  for (const name of ["registry.slipway-system.svc", "REGISTRY.slipway-system.svc"]) {
    assert.ok(await isTrusted(name, gateway.ca), name);
    assert.ok(!(await isTrusted(name, authority.certificate)), name);
  }
});
