import assert from "node:assert/strict";
import { test } from "node:test";
import { endToEndHeaders } from "./hop-by-hop.ts";

test("what concerns one connection ends with it, what Connection names as well, all else goes on", () => {
  const headers = {
    host: "registry.example.com",
    connection: "keep-alive, X-Private",
    "keep-alive": "timeout=5",
    "transfer-encoding": "chunked",
    te: "trailers",
    trailer: "x",
    upgrade: "h2c",
    "proxy-authorization": "Basic eDp5",
    "proxy-connection": "close",
    "x-private": "1",
    accept: "*/*",
    "set-cookie": ["a", "b"],
  };
  assert.deepEqual(endToEndHeaders(headers), {
    host: "registry.example.com",
    accept: "*/*",
    "set-cookie": ["a", "b"],
  });
});

test("Connection cannot take away what is meant for the one who answers", () => {
  const kept = {
    host: "registry.example.com",
    authorization: "Bearer x",
    "content-length": "3",
    "content-type": "a/b",
  };
  assert.deepEqual(
    endToEndHeaders({ ...kept, connection: "close, Host, Authorization, Content-Length, Content-Type" }),
    kept,
  );
});
