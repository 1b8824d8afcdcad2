import { createHash } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import { Agent, request } from "node:https";
import type { Readable } from "node:stream";
import type { Login } from "../../../src/credential/login.ts";
import { deriveLogin } from "../../../src/credential/login.ts";
import { key } from "./harness.ts";

export type Answer = {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
};

export type Ask = {
  readonly headers?: Record<string, string | number>;
  readonly body?: string | Buffer | Readable;
};

/** A registry client as thin as can be: what it sends is what the test says. */
export type RegistryClient = {
  ask(method: string, path: string, ask?: Ask): Promise<Answer>;
  token(login: Login | undefined, ...scopes: string[]): Promise<string>;
  close(): void;
};

export const manifestType = "application/vnd.oci.image.manifest.v1+json";

export function pullLogin(namespace: string, uid: string): Login {
  return deriveLogin(key, { purpose: "pull", namespace, uid });
}

export function pushLogin(namespace: string, uid: string): Login {
  return deriveLogin(key, { purpose: "push", namespace, uid });
}

export function digestOf(bytes: Buffer | string): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

export function basic(login: Login): string {
  return `Basic ${Buffer.from(`${login.username}:${login.password}`).toString("base64")}`;
}

export function createRegistryClient(server: { readonly url: string; readonly ca: string }): RegistryClient {
  const agent = new Agent({ keepAlive: true, ca: server.ca });
  const ask = (method: string, path: string, { headers = {}, body }: Ask = {}): Promise<Answer> => {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    // The path is given as it is: a URL object would tidy it up.
    const { hostname, port } = new URL(server.url);
    const sent = request({ hostname, port, method, path, headers, agent }, (answer) => {
      answer
        .toArray()
        .then(
          (chunks) => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: Buffer.concat(chunks) }),
          reject,
        );
    });
    sent.once("error", reject);
    if (body === undefined || typeof body === "string" || Buffer.isBuffer(body)) sent.end(body);
    else body.pipe(sent);
    return promise;
  };
  return {
    ask,
    async token(login, ...scopes) {
      const asked = scopes.map((scope): [string, string] => ["scope", scope]);
      const query = new URLSearchParams([["service", "slipway-registry"], ...asked]);
      const headers: Record<string, string> = login === undefined ? {} : { authorization: basic(login) };
      const answer = await ask("GET", `/auth/token?${query}`, { headers });
      if (answer.status !== 200) throw new Error(`no token: ${answer.status} ${answer.body}`);
      return (JSON.parse(answer.body.toString()) as { token: string }).token;
    },
    close: () => agent.destroy(),
  };
}

/** Pushes an image of one layer by monolithic uploads. @returns its digests */
export async function pushImage(
  client: RegistryClient,
  login: Login,
  image: { readonly repository: string; readonly tag: string; readonly content?: string },
): Promise<{ readonly manifest: string; readonly layer: string; readonly status: number }> {
  const { repository, tag, content = "layer" } = image;
  const token = await client.token(login, `repository:${repository}:pull,push`);
  const authorization = `Bearer ${token}`;
  const upload = async (bytes: string): Promise<string> => {
    const begun = await client.ask("POST", `/v2/${repository}/blobs/uploads/`, { headers: { authorization } });
    const location = new URL(begun.headers.location ?? "", "https://registry.invalid");
    location.searchParams.set("digest", digestOf(bytes));
    const headers = { authorization, "content-type": "application/octet-stream" };
    await client.ask("PUT", `${location.pathname}${location.search}`, { headers, body: bytes });
    return digestOf(bytes);
  };
  const layer = await upload(content);
  const config = await upload("{}");
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: manifestType,
    config: { mediaType: "application/vnd.oci.image.config.v1+json", digest: config, size: 2 },
    layers: [{ mediaType: "application/vnd.oci.image.layer.v1.tar", digest: layer, size: content.length }],
  });
  const headers = { authorization, "content-type": manifestType };
  const put = await client.ask("PUT", `/v2/${repository}/manifests/${tag}`, { headers, body: manifest });
  return { manifest: digestOf(manifest), layer, status: put.status };
}
