import { once } from "node:events";
import type { ClientRequest, IncomingMessage } from "node:http";
import { request } from "node:https";
import type { TestContext } from "node:test";
import type { Login } from "../../../src/credential/login.ts";
import type { DirectClient } from "../registry/direct-client.ts";

/** A transfer that stands still in the middle, until the server ends it. */
export type OpenTransfer = {
  /** Lets it go on. Resolves when its connection has ended; true when all of it came through. */
  finish(): Promise<boolean>;
};

type Target = { readonly login: Login; readonly repository: string };

type Asked = { readonly method: string; readonly path: string };

/** A request on a connection of its own, which is gone after the test whatever became of it. */
async function send(t: TestContext, client: DirectClient, { login, repository }: Target, { method, path }: Asked) {
  const token = await client.token(login, `repository:${repository}:pull,push`);
  const { hostname, port } = new URL(client.url);
  const headers = { authorization: `Bearer ${token}` };
  const sent = request({ hostname, port, method, path, headers, ca: client.ca, agent: false });
  t.after(() => sent.destroy());
  return sent;
}

/** Begins to pull a blob that is larger than all buffers on the way, and reads no further than its first bytes. */
export async function openDownload(
  t: TestContext,
  client: DirectClient,
  target: Target & { readonly digest: string },
): Promise<OpenTransfer> {
  const path = `/v2/${target.repository}/blobs/${target.digest}`;
  const sent = await send(t, client, target, { method: "GET", path });
  sent.end();
  const [answer] = (await once(sent, "response")) as [IncomingMessage];
  // A reset is told to the request as well as to its answer.
  sent.on("error", () => {});
  if (answer.statusCode !== 200) throw new Error(`the blob is answered with ${answer.statusCode}`);
  await once(answer, "readable");
  const ended = closed(answer);
  return {
    async finish() {
      answer.resume();
      await ended;
      return answer.complete;
    },
  };
}

/** Begins to push a blob, and stops after its first megabyte. */
export async function openUpload(t: TestContext, client: DirectClient, target: Target): Promise<OpenTransfer> {
  const begun = await client.ask("POST", `/v2/${target.repository}/blobs/uploads/`, {
    headers: {
      authorization: `Bearer ${await client.token(target.login, `repository:${target.repository}:pull,push`)}`,
    },
  });
  const location = new URL(begun.headers.location ?? "", client.url);
  const path = `${location.pathname}${location.search}`;
  const sent = await send(t, client, target, { method: "PATCH", path });
  const ended = closed(sent);
  await new Promise<void>((resolve) => sent.write(Buffer.alloc(1024 * 1024), () => resolve()));
  return {
    async finish() {
      await ended;
      return false;
    },
  };
}

/** That a connection is reset is what these transfers are for: an error is an end. */
function closed(stream: ClientRequest | IncomingMessage): Promise<void> {
  stream.on("error", () => {});
  return new Promise((resolve) => stream.once("close", () => resolve()));
}
