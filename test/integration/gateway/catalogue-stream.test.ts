import assert from "node:assert/strict";
import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { request } from "node:https";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { catalogueStreamPath, type StreamEvent } from "../../../src/registry/stream-protocol.ts";
import { createManualClock } from "../../fake/clock.ts";
import { type Certificates, findDistribution, issueCertificates, startGateway, startStore } from "./harness.ts";
import { startRecorder } from "./recorder.ts";
import { createRegistryClient, pushImage, pushLogin } from "./registry-client.ts";

let certificates: Certificates;
let recorder: Awaited<ReturnType<typeof startRecorder>>;
before(async () => {
  certificates = await issueCertificates();
  recorder = await startRecorder();
});
after(() => recorder.stop());

const claims = (account: string, audience: string) => ({
  sub: `system:serviceaccount:slipway-system:${account}`,
  aud: [audience],
  exp: Math.floor(Date.now() / 1_000) + 600,
});
const tokenOf = (account: string, audience = "slipway-gateway") =>
  `e30.${Buffer.from(JSON.stringify(claims(account, audience))).toString("base64url")}.c2ln`;

function authenticated(account: string, audience = "slipway-gateway") {
  const username = `system:serviceaccount:slipway-system:${account}`;
  return { kind: "authenticated", username, uid: "1", groups: [], extra: {}, audiences: [audience] } as const;
}

async function open(server: { url: string; ca: string }, token: string) {
  const { hostname, port } = new URL(server.url);
  const headers = { authorization: `Bearer ${token}` };
  const sent = request({ hostname, port, path: catalogueStreamPath, headers, ca: server.ca, agent: false }).end();
  const [answer] = (await once(sent, "response")) as [IncomingMessage];
  const lines = createInterface({ input: answer })[Symbol.asyncIterator]();
  const next = async (): Promise<StreamEvent | undefined> => {
    const line = await lines.next();
    return line.done === true ? undefined : (JSON.parse(line.value) as StreamEvent);
  };
  return { status: answer.statusCode, next, close: () => sent.destroy() };
}

test("only serve's own account with a token for gateways gets the stream", async (t) => {
  const gateway = await startGateway({ distributionUrl: recorder.url, certificates });
  t.after(() => gateway.stop());
  const refused = [
    { token: tokenOf("gateway"), verdict: authenticated("gateway") },
    { token: tokenOf("node-agent"), verdict: authenticated("node-agent") },
    { token: tokenOf("serve", "slipway"), verdict: authenticated("serve", "slipway") },
    { token: tokenOf("serve"), verdict: authenticated("serve", "slipway") },
    { token: "no-token", verdict: authenticated("serve") },
  ];
  for (const { token, verdict } of refused) {
    gateway.tokens.set(token, verdict);
    const stream = await open(gateway, token);
    stream.close();
    assert.equal(stream.status, 401, token);
  }
});

test("the stream says hello with the key generations, and has a heartbeat", async (t) => {
  const clock = createManualClock(Date.now());
  const gateway = await startGateway({ distributionUrl: recorder.url, certificates, needs: { clock } });
  const token = tokenOf("serve");
  gateway.tokens.set(token, authenticated("serve"));
  const stream = await open(gateway, token);
  t.after(async () => {
    stream.close();
    const stopped = gateway.stop();
    await clock.advance(60_000);
    await stopped;
  });
  assert.deepEqual(await stream.next(), { type: "hello", protocol: 1, generations: [1], readOnly: false });
  await clock.whenSleeping(1, 5_000);
  await clock.advance(5_000);
  assert.deepEqual(await stream.next(), { type: "heartbeat", generations: [1] });
});

test("a stop ends the streams first, so that it does not wait for them", async () => {
  // A clock that stands still: no connection is cut since its time is over.
  const clock = createManualClock(Date.now());
  const gateway = await startGateway({ distributionUrl: recorder.url, certificates, needs: { clock } });
  const token = tokenOf("serve");
  gateway.tokens.set(token, authenticated("serve"));
  const stream = await open(gateway, token);
  assert.equal((await stream.next())?.type, "hello");
  const stopped = gateway.stop();
  assert.equal(await stream.next(), undefined);
  await clock.advance(60_000);
  await stopped;
});

const program = await findDistribution();
const skip = program === undefined ? "no program `registry` (CNCF Distribution 3.1) on PATH" : false;

test("each accepted and each deleted manifest is in the stream", { skip }, async (t) => {
  const store = await startStore(program ?? "", certificates.tokenCa);
  const gateway = await startGateway({ distributionUrl: store.url, certificates });
  const token = tokenOf("serve");
  gateway.tokens.set(token, authenticated("serve"));
  const stream = await open(gateway, token);
  const client = createRegistryClient(gateway);
  t.after(async () => {
    stream.close();
    client.close();
    await gateway.stop();
    await store.stop();
  });
  assert.equal((await stream.next())?.type, "hello");
  const login = pushLogin("team-a", "uid-a");
  const { manifest } = await pushImage(client, login, { repository: "team-a/app", tag: "v1" });
  assert.deepEqual(await stream.next(), { type: "pushed", repository: "team-a/app", tag: "v1", digest: manifest });
  const authorization = `Bearer ${await client.token(login, "repository:team-a/app:delete")}`;
  await client.ask("DELETE", "/v2/team-a/app/manifests/v1", { headers: { authorization } });
  assert.deepEqual(await stream.next(), { type: "deleted", repository: "team-a/app", tag: "v1", digest: null });
  await client.ask("DELETE", `/v2/team-a/app/manifests/${manifest}`, { headers: { authorization } });
  assert.deepEqual(await stream.next(), { type: "deleted", repository: "team-a/app", tag: null, digest: manifest });
});
