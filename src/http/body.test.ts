import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, request as httpRequest, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import supertest from "supertest";
import { readBody } from "./body.ts";

const server = createServer(async (request, response) => {
  const body = await readBody(request, { limitBytes: 10, contentType: "application/json" });
  if (body.kind === "refused") response.writeHead(body.status).end(body.reason);
  else response.end(body.kind === "body" ? body.bytes : "");
});

const cases = [
  { name: "a body within the limit comes back whole", body: "0123456789", want: 200 },
  { name: "one byte more is 413", body: "0123456789x", want: 413 },
  { name: "a body far beyond the limit is 413 and answered all the same", body: "x".repeat(1_000_000), want: 413 },
  { name: "an empty body is 400", body: "", want: 400 },
  { name: "another content type is 415", body: "0123456789", type: "text/plain", want: 415 },
  {
    name: "parameters of the content type do not matter",
    body: "0",
    type: "Application/JSON; charset=utf-8",
    want: 200,
  },
];
for (const { name, body, type = "application/json", want } of cases) {
  test(name, async () => {
    const answer = await supertest(server).post("/").set("Content-Type", type).send(body);
    assert.equal(answer.status, want);
  });
}

test("a body of unknown length is cut at the limit", async () => {
  const sending = supertest(server)
    .post("/")
    .set("Content-Type", "application/json")
    .set("Transfer-Encoding", "chunked");
  for (let count = 0; count < 20; count++) sending.write("12345");
  assert.equal((await sending).status, 413);
});

test("a body that does not end in time is 408", async (t) => {
  const slow = createServer(async (request, response) => {
    const body = await readBody(request, { limitBytes: 10, withinMs: 20 });
    response.writeHead(body.kind === "refused" ? body.status : 200, { connection: "close" }).end();
  });
  await new Promise<void>((resolve) => slow.listen(0, "127.0.0.1", resolve));
  t.after(() => slow.close());
  const { port } = slow.address() as AddressInfo;
  const sent = httpRequest({ port, method: "POST", headers: { "content-length": 5 } });
  sent.once("error", () => undefined);
  sent.write("123");
  const [answer] = (await once(sent, "response")) as [IncomingMessage];
  assert.equal(answer.statusCode, 408);
  sent.destroy();
});
