import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, describe, test } from "node:test";
import { connect } from "node:tls";
import { adminLogin, issueCertificates, startGateway, type TestGateway } from "./harness.ts";
import { startRecorder } from "./recorder.ts";
import { createRegistryClient } from "./registry-client.ts";

const repository = "team-a/app";

describe("what is no request for a registry", () => {
  let gateway: TestGateway;
  let recorder: Awaited<ReturnType<typeof startRecorder>>;
  let authorization: string;
  before(async () => {
    recorder = await startRecorder();
    gateway = await startGateway({ distributionUrl: recorder.url, certificates: await issueCertificates() });
    const client = createRegistryClient(gateway);
    authorization = `Bearer ${await client.token(adminLogin, `repository:${repository}:pull,push,delete`)}`;
    client.close();
  });
  after(async () => {
    await gateway.stop();
    await recorder.stop();
  });

  /** Sends bytes as they are. @returns everything that came until the connection ended */
  async function send(text: string): Promise<string> {
    const { hostname, port } = new URL(gateway.url);
    const socket = connect({ host: hostname, port: Number(port), ca: gateway.ca, servername: "localhost" });
    let answer = "";
    socket.setEncoding("latin1").on("data", (part: string) => {
      answer += part;
    });
    // A client that still sends when the answer comes is reset.
    socket.on("error", () => undefined);
    await once(socket, "secureConnect");
    socket.write(text, "latin1");
    await new Promise((resolve) => socket.once("close", resolve));
    return answer;
  }

  const cases = [
    { name: "CONNECT", head: "CONNECT 127.0.0.1:5000 HTTP/1.1", status: 405 },
    { name: "a method that HTTP does not have", head: "get /v2/ HTTP/1.1", status: 400 },
    { name: "the preface of HTTP/2", head: "PRI * HTTP/2.0", status: 400 },
    { name: "a path that is no ASCII", head: "GET /v2/team-a/\u00e9/manifests/1 HTTP/1.1", status: 400 },
    { name: "a request without Host", head: "GET /v2/ HTTP/1.1", host: "", status: 400 },
    { name: "a Host that is none", head: "GET /v2/ HTTP/1.1", host: 'Host: a"b', status: 400 },
    { name: "two Hosts", head: "GET /v2/ HTTP/1.1", more: ["Host: localhost"], status: 400 },
    { name: "an absolute target of a Host that is none", head: "GET https://a@b/v2/ HTTP/1.1", status: 400 },
    { name: "headers without an end", head: "GET /v2/ HTTP/1.1", more: [`X: ${"a".repeat(17_000)}`], status: 431 },
    {
      name: "1,000 scopes in a path",
      head: `GET /auth/token?${"scope=repository:team-a/app:pull&".repeat(1_000)} HTTP/1.1`,
      status: 431,
    },
    { name: "a space in a header's name", head: "GET /v2/ HTTP/1.1", more: ["X y: 1"], status: 400 },
    { name: "an expectation of something else", head: "GET /v2/ HTTP/1.1", more: ["Expect: banana"], status: 417 },
    {
      name: "a body of two lengths",
      head: `POST /v2/${repository}/blobs/uploads/ HTTP/1.1`,
      more: ["Content-Length: 4", "Transfer-Encoding: chunked"],
      status: 400,
    },
    {
      name: "two Content-Lengths",
      head: `POST /v2/${repository}/blobs/uploads/ HTTP/1.1`,
      more: ["Content-Length: 0", "Content-Length: 5"],
      status: 400,
    },
    ...["xchunked", "gzip, chunked", "gzip,chunked"].map((coding) => ({
      name: `a body that is sent as ${coding}`,
      head: `POST /v2/${repository}/blobs/uploads/ HTTP/1.1`,
      more: [`Transfer-Encoding: ${coding}`],
      status: 501,
    })),
  ];
  for (const { name, head, host = "Host: localhost", more = [], status } of cases) {
    test(`${name} is ${status} with an OCI error body, and the connection ends`, async () => {
      recorder.requests.length = 0;
      const lines = [
        head,
        ...(host === "" ? [] : [host]),
        ...more,
        `Authorization: ${authorization}`,
        "Connection: close",
      ];
      const answer = await send(`${lines.join("\r\n")}\r\n\r\n0\r\n\r\nGET /v2/team-b/app/tags/list HTTP/1.1\r\n`);
      assert.match(answer, new RegExp(`^HTTP/1\\.1 ${status} `));
      assert.match(answer, /\r\nContent-Type: application\/json\r\n/i);
      const body = /{"errors":.*?}\]}/.exec(answer)?.[0] ?? assert.fail(answer);
      const { errors } = JSON.parse(body) as { errors: { code: string; message: string }[] };
      assert.equal(errors[0]?.code, "UNSUPPORTED");
      assert.ok((errors[0]?.message ?? "") !== "");
      assert.ok(
        !recorder.requests.some(({ url }) => url.includes("team-b")),
        "what came behind it was taken for a request",
      );
    });
  }

  const looksLikeRequest = "GET /v2/team-b/app/tags/list HTTP/1.1\r\nHost: x\r\n\r\n";
  const { length } = looksLikeRequest;
  for (const { framing, header, body } of [
    { framing: "by its length", header: `Content-Length: ${length}`, body: looksLikeRequest },
    {
      framing: "in chunks",
      header: "Transfer-Encoding: chunked",
      body: `${length.toString(16)}\r\n${looksLikeRequest}\r\n0\r\n\r\n`,
    },
  ]) {
    for (const path of ["manifests/1", "tags/list"]) {
      test(`a body that looks like a request stays a body, ${framing}, of GET ${path}`, async () => {
        recorder.requests.length = 0;
        const ask = (target: string, ...more: string[]) =>
          [`GET ${target} HTTP/1.1`, "Host: localhost", `Authorization: ${authorization}`, ...more].join("\r\n");
        const first = ask(`/v2/${repository}/${path}`, header);
        const answer = await send(`${first}\r\n\r\n${body}${ask("/v2/", "Connection: close")}\r\n\r\n`);
        assert.equal(answer.match(/HTTP\/1\.1 200 OK/g)?.length, 2);
        // They go to Distribution at the same time, by connections of their own.
        assert.deepEqual(recorder.requests.map(({ url }) => url).toSorted(), ["/v2/", `/v2/${repository}/${path}`]);
      });
    }
  }

  test("a target in absolute form is the same as path and Host, which it overrules", async () => {
    recorder.requests.length = 0;
    const ask = (target: string, ...more: string[]) =>
      send(
        [`GET ${target} HTTP/1.1`, "Host: other.example.com", "Connection: close", ...more]
          .join("\r\n")
          .concat("\r\n\r\n"),
      );
    const login = `Authorization: ${authorization}`;
    assert.match(
      await ask(`https://registry.example.com:5443/v2/${repository}/tags/list?n=5`, login),
      /^HTTP\/1\.1 200 /,
    );
    assert.deepEqual(
      recorder.requests.map(({ url, headers }) => [url, headers.host]),
      [[`/v2/${repository}/tags/list?n=5`, "registry.example.com:5443"]],
    );
    assert.match(await ask("HTTP://registry.example.com/v2/"), /realm="https:\/\/registry\.example\.com\/auth\/token"/);
    assert.match(await ask("https://registry.example.com/auth/token"), /WWW-Authenticate: Basic /);
    // What a path may not hold it may not hold here.
    for (const path of [
      `/v2/x/../${repository}/tags/list`,
      `//v2/${repository}/tags/list`,
      "",
      "?/v2/",
      `/v2%2f${repository}/tags/list`,
    ]) {
      assert.match(await ask(`https://registry.example.com${path}`, login), /^HTTP\/1\.1 40[04] /, path);
    }
    assert.equal(recorder.requests.length, 1);
  });

  test("who may upload is told to send the body, and who may not is refused before it", async () => {
    const upload = (login: string) =>
      send(
        [
          `PATCH /v2/${repository}/blobs/uploads/1 HTTP/1.1`,
          "Host: localhost",
          "Content-Length: 0",
          "Expect: 100-continue",
          "Connection: close",
          `Authorization: ${login}`,
        ]
          .join("\r\n")
          .concat("\r\n\r\n"),
      );
    assert.match(await upload(authorization), /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 OK\r\n/);
    assert.match(await upload("Bearer x"), /^HTTP\/1\.1 401 Unauthorized\r\n/);
  });

  test("who speaks HTTP/1.0 is not told to continue", async () => {
    const lines = ["GET /v2/ HTTP/1.0", "Host: localhost", `Authorization: ${authorization}`, "Expect: 100-continue"];
    assert.match(await send(`${lines.join("\r\n")}\r\n\r\n`), /^HTTP\/1\.1 200 OK\r\n/);
  });

  test("an upgrade is answered as if it had not been asked for", async () => {
    const upgrade = ["Connection: Upgrade, close", "Upgrade: websocket", "Sec-WebSocket-Version: 13"];
    const lines = ["GET /v2/ HTTP/1.1", "Host: localhost", `Authorization: ${authorization}`, ...upgrade];
    assert.match(await send(`${lines.join("\r\n")}\r\n\r\n`), /^HTTP\/1\.1 200 OK\r\n/);
  });

  test("the gateway serves on", async () => {
    const lines = ["GET /v2/ HTTP/1.1", "Host: localhost", `Authorization: ${authorization}`, "Connection: close"];
    assert.match(await send(`${lines.join("\r\n")}\r\n\r\n`), /^HTTP\/1\.1 200 OK\r\n/);
  });
});
