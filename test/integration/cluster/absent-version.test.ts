import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ApiError } from "../../../src/cluster/api.ts";
import { resources } from "../../../src/cluster/resource.ts";
import { createCertificateWriter } from "../../../src/tls/certificate-writer.ts";
import { type RealApiServer, signal, startRealApiServer } from "./api-server.ts";

// Two leaders may overlap for a moment: of what both want to create, one's has to stay.

let server: RealApiServer;
before(async () => {
  server = await startRealApiServer();
});
after(() => server.stop());

const content = (word: string) => ({ type: "Opaque", data: { "tls.crt": Buffer.from(word).toString("base64") } });

test("of twenty that make a CA at the same moment one succeeds, and the others look again", async () => {
  const namespace = await server.createNamespace();
  const writer = createCertificateWriter({ api: server.api, namespace });
  const words = Array.from({ length: 20 }, (_, index) => `by ${index}`);
  const results = await Promise.allSettled(words.map((word) => writer.write("ca", undefined, content(word), signal)));
  const made = results.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
  assert.equal(made.length, 1);
  for (const result of results) {
    if (result.status === "rejected") assert.ok(result.reason instanceof ApiError && result.reason.status === 409);
  }
  const stored = await server.api.get(resources.secrets, { namespace, name: "ca" }, signal);
  assert.deepEqual(stored.data, made[0]?.data);

  const next = await writer.write("ca", stored, content("next"), signal);
  assert.deepEqual(next.data, content("next").data);
  await assert.rejects(writer.write("ca", stored, content("late"), signal), { status: 409 });
});

test("another type is replaced, and what came in between stays", async () => {
  const namespace = await server.createNamespace();
  const writer = createCertificateWriter({ api: server.api, namespace });
  const first = await writer.write("leaf", undefined, content("opaque"), signal);
  const tls = { type: "example.com/other", data: content("other").data };
  assert.equal((await writer.write("leaf", first, tls, signal)).type, "example.com/other");
  await assert.rejects(writer.write("leaf", undefined, tls, signal), { status: 409 });
});
