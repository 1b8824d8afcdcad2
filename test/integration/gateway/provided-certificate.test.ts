import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, test } from "node:test";
import { connect } from "node:tls";
import { registryProvidedCertificateSecretName, systemNamespace } from "../../../src/config/names.ts";
import { certificateNames } from "../../../src/tls/certificate.ts";
import { issueAuthority, issueLeaf } from "../../../src/tls/issue.ts";
import { issueCertificates, secretObject, startGateway, type TestGateway } from "./harness.ts";
import { startRecorder } from "./recorder.ts";

let gateway: TestGateway;
let recorder: Awaited<ReturnType<typeof startRecorder>>;
let authority: Awaited<ReturnType<typeof issueAuthority>>;

before(async () => {
  recorder = await startRecorder();
  gateway = await startGateway({ distributionUrl: recorder.url, certificates: await issueCertificates() });
  authority = await issueAuthority({ commonName: "a CA of the user's own", nowMs: Date.now() });
});
after(async () => {
  await gateway.stop();
  await recorder.stop();
});

const secretKey = `${systemNamespace}/${registryProvidedCertificateSecretName}`;

async function provide(): Promise<string> {
  const names = certificateNames(["registry.example.com"]);
  const pair = await issueLeaf({ authority, commonName: "registry.example.com", names, nowMs: Date.now() });
  const values = { "tls.crt": pair.certificate, "tls.key": pair.key };
  gateway.secrets.set(secretKey, secretObject(registryProvidedCertificateSecretName, values));
  return pair.certificate;
}

/** Connects as a client that trusts `ca` and asks for `servername`. @returns the serial number it is given */
async function serialFor(servername: string, ca: string): Promise<string> {
  const socket = connect({ host: "127.0.0.1", port: Number(new URL(gateway.url).port), servername, ca });
  await once(socket, "secureConnect");
  const { serialNumber } = socket.getPeerCertificate();
  socket.destroy();
  return serialNumber;
}

test("a certificate of the user's own is served for its names, changes live, and goes with its Secret", async () => {
  const ours = await serialFor("registry.slipway-system.svc", gateway.ca);
  await assert.rejects(serialFor("registry.example.com", authority.certificate));
  await provide();
  const first = await serialFor("registry.example.com", authority.certificate);
  await provide();
  const second = await serialFor("registry.example.com", authority.certificate);
  assert.notEqual(first, second);
  assert.equal(await serialFor("registry.slipway-system.svc", gateway.ca), ours, "other names are served by our CA");
  gateway.secrets.delete(secretKey);
  await assert.rejects(serialFor("registry.example.com", authority.certificate));
  assert.equal(await serialFor("registry.slipway-system.svc", gateway.ca), ours);
});
