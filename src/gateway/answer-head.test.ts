import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseAnswerHead } from "./answer-head.ts";

const lines = (...text: readonly string[]) => text.join("\r\n");

describe("the head of an answer", () => {
  test("status, headers in lower case, and the length of what follows", () => {
    const head = parseAnswerHead("GET", lines("HTTP/1.1 206 Partial Content", "Content-Length: 12", 'ETag:  "a" '));
    assert.deepEqual(head, {
      status: 206,
      headers: { "content-length": "12", etag: '"a"' },
      length: 12,
      isKept: true,
    });
  });

  test("a header that came twice is joined", () => {
    const head = parseAnswerHead("GET", lines("HTTP/1.1 200 OK", "Link: <a>", "link: <b>", "Content-Length: 0"));
    assert.equal(head?.headers.link, "<a>, <b>");
  });

  for (const [method, status] of [
    ["HEAD", "200 OK"],
    ["GET", "304 Not Modified"],
    ["GET", "204 No Content"],
  ] as const) {
    test(`${method} with ${status} has no body, whatever length it names`, () => {
      assert.equal(parseAnswerHead(method, lines(`HTTP/1.1 ${status}`, "Content-Length: 5"))?.length, 0);
    });
  }

  test("a body in chunks has no length of its own", () => {
    assert.equal(parseAnswerHead("GET", lines("HTTP/1.1 200 OK", "Transfer-Encoding: Chunked"))?.length, "chunked");
  });

  test("a connection that the server will close is not kept", () => {
    const head = parseAnswerHead("GET", lines("HTTP/1.1 200 OK", "Content-Length: 1", "Connection: close"));
    assert.equal(head?.isKept, false);
  });

  const unsuited = [
    ["another coding", "HTTP/1.1 200 OK", "Transfer-Encoding: gzip, chunked"],
    ["both ways to say the length", "HTTP/1.1 200 OK", "Transfer-Encoding: chunked", "Content-Length: 3"],
    ["no length", "HTTP/1.1 200 OK"],
    ["two lengths", "HTTP/1.1 200 OK", "Content-Length: 3", "Content-Length: 4"],
    ["a negative length", "HTTP/1.1 200 OK", "Content-Length: -1"],
    ["a length that is none", "HTTP/1.1 200 OK", "Content-Length: 0x10"],
    ["an informational answer", "HTTP/1.1 100 Continue", "Content-Length: 0"],
    ["an older protocol", "HTTP/1.0 200 OK", "Content-Length: 0"],
    ["a line that is no header", "HTTP/1.1 200 OK", "Content-Length: 0", "nonsense"],
    ["a header that goes on in the next line", "HTTP/1.1 200 OK", "Content-Length: 0", " folded: x"],
    ["a space before the colon", "HTTP/1.1 200 OK", "Content-Length : 0"],
    ["a control character", "HTTP/1.1 200 OK", "Content-Length: 0", "x: a\0b"],
    ["nothing", ""],
  ] as const;
  for (const [what, ...text] of unsuited) {
    test(`${what} is left to node:http`, () => {
      assert.equal(parseAnswerHead("GET", lines(...text)), undefined);
    });
  }
});
