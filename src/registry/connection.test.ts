import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { test } from "node:test";
import { createTcpConnect, openConnection } from "./connection.ts";

/** Listens and accepts nothing: the kernel takes what fits into the backlog of 1, and drops what comes after it. */
const fullServer = `require("node:net").createServer().listen({ port: 0, host: "127.0.0.1", backlog: 1 }, function () {
  process.stdout.write(String(this.address().port), () => process.kill(process.pid, "SIGSTOP"));
})`;

test("a connection whose first packets are lost fails in time, so that another may be tried", async (t) => {
  const child = spawn(process.execPath, ["-e", fullServer], { stdio: ["ignore", "pipe", "inherit"] });
  t.after(() => child.kill("SIGKILL"));
  const [port] = (await once(child.stdout, "data")) as [Buffer];
  const address = `127.0.0.1:${port}`;
  const waiting: Socket[] = [];
  t.after(() => {
    for (const socket of waiting) socket.destroy();
  });
  for (let count = 0; count < 8; count++) {
    waiting.push(connect({ host: "127.0.0.1", port: Number(port) }).on("error", () => undefined));
  }
  await assert.rejects(createTcpConnect(address, 500)(), {
    code: "ETIMEDOUT",
    message: `${address} takes no connection within 500 ms`,
  });
});

test("a connection that stands has all the time it needs", async (t) => {
  const server = createServer((socket) => socket.pipe(socket)).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  const socket = await createTcpConnect(`127.0.0.1:${(server.address() as AddressInfo).port}`)();
  t.after(() => socket.destroy());
  assert.equal((socket as Socket).timeout, 0);
  socket.write("still here");
  assert.equal(String((await once(socket, "data"))[0]), "still here");
});

test("a server that does not speak TLS is given up", async (t) => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  const origin = new URL(`https://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const transport = await createTcpConnect(origin.host)();
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const opening = openConnection({ origin, connect: async () => transport, ca: () => undefined });
  const refused = assert.rejects(opening, { code: "ETIMEDOUT", message: "no TLS handshake within 10000 ms" });
  await Promise.resolve();
  t.mock.timers.tick(10_000);
  await refused;
  assert.equal(transport.destroyed, true);
});
