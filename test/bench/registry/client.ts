import { createHash } from "node:crypto";
import { once } from "node:events";
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";

/** Content of any size in constant memory: one chunk again and again, the first marked so that each is another blob. */
export type Content = { readonly digest: string; readonly size: number; readonly open: () => Readable };

const chunk = Buffer.alloc(1024 * 1024, "slipway");

export function contentOf(mebibytes: number, mark: string): Content {
  function* chunks() {
    const first = Buffer.from(chunk);
    first.write(mark);
    for (let index = 0; index < mebibytes; index++) yield index === 0 ? first : chunk;
  }
  const hash = createHash("sha256");
  for (const each of chunks()) hash.update(each);
  return {
    digest: `sha256:${hash.digest("hex")}`,
    size: mebibytes * chunk.length,
    open: () => Readable.from(chunks(), { objectMode: false }),
  };
}

/** A client that does as little as it can, over HTTP or HTTPS. */
export type BenchClient = {
  /** @throws Error for another status than the wanted one */
  ask(method: string, path: string, ask: Ask): Promise<IncomingMessage>;
  push(repository: string, content: Content): Promise<void>;
  /** @returns how many bytes came */
  pull(repository: string, digest: string): Promise<number>;
  close(): void;
};

export type Ask = {
  readonly want: number;
  readonly headers?: Readonly<Record<string, string | number>>;
  readonly body?: Readable | string;
};

/** @param server.authorization for every request; absent at the bare registry */
export function createBenchClient(server: {
  readonly url: string;
  readonly ca?: string;
  readonly authorization?: string;
}): BenchClient {
  const { protocol, hostname, port } = new URL(server.url);
  const isTls = protocol === "https:";
  const agent = isTls ? new HttpsAgent({ keepAlive: true, ca: server.ca }) : new HttpAgent({ keepAlive: true });
  const own = server.authorization === undefined ? {} : { authorization: server.authorization };
  const ask: BenchClient["ask"] = async (method, path, { want, headers, body }) => {
    const options = { hostname, port, method, path, agent, headers: { ...own, ...headers } };
    const sent = isTls ? httpsRequest(options) : httpRequest(options);
    const answered = once(sent, "response") as Promise<[IncomingMessage]>;
    if (body instanceof Readable) await Promise.all([pipeline(body, sent), answered]);
    else sent.end(body);
    const [answer] = await answered;
    if (answer.statusCode !== want) throw new Error(`${method} ${path}: ${answer.statusCode} instead of ${want}`);
    return answer;
  };
  const drain = async (answer: IncomingMessage): Promise<number> => {
    let bytes = 0;
    answer.on("data", (part: Buffer) => {
      bytes += part.length;
    });
    await once(answer, "end");
    return bytes;
  };
  return {
    ask,
    async push(repository, content) {
      const begun = await ask("POST", `/v2/${repository}/blobs/uploads/`, { want: 202 });
      await drain(begun);
      const location = new URL(begun.headers.location ?? "", server.url);
      location.searchParams.set("digest", content.digest);
      const headers = { "content-type": "application/octet-stream", "content-length": content.size };
      const path = `${location.pathname}${location.search}`;
      await drain(await ask("PUT", path, { want: 201, headers, body: content.open() }));
    },
    async pull(repository, digest) {
      return drain(await ask("GET", `/v2/${repository}/blobs/${digest}`, { want: 200 }));
    },
    close: () => agent.destroy(),
  };
}
