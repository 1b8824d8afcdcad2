import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { Readable } from "node:stream";
import type { Clock, Random } from "../clock.ts";
import type { Login } from "../credential/login.ts";
import { discardBody, readBody, readJson } from "./answer.ts";
import type { Blob, Manifest, ManifestDescriptor } from "./blob.ts";
import { addressOf, type Connect, createTcpConnect } from "./connection.ts";
import { createExchange } from "./exchange.ts";
import { manifestAccept } from "./media-type.ts";
import { nextPage } from "./page.ts";
import { RegistryError } from "./registry-error.ts";
import { createSession, type Session } from "./session.ts";
import { createUploads, type UploadOptions } from "./upload.ts";

/** A client of one registry, by the OCI distribution specification. Never follows a redirect to another host. */
export type RegistryClient = {
  readonly origin: URL;
  /** @throws RegistryError when `/v2/` does not answer 200 to our login */
  ping(signal: AbortSignal): Promise<void>;
  /** @param reference a tag or a digest. @returns undefined for 404 */
  headManifest(repository: string, reference: string, signal: AbortSignal): Promise<ManifestDescriptor | undefined>;
  getManifest(repository: string, reference: string, signal: AbortSignal): Promise<Manifest | undefined>;
  /** @param reference a tag, or the manifest's digest */
  putManifest(repository: string, reference: string, manifest: Manifest, signal: AbortSignal): Promise<void>;
  /** @returns false when it was not there. A digest takes every tag on it with it. */
  deleteManifest(repository: string, reference: string, signal: AbortSignal): Promise<boolean>;
  hasBlob(repository: string, digest: string, signal: AbortSignal): Promise<boolean>;
  /** @returns undefined for 404; the caller reads or destroys the body */
  getBlob(repository: string, digest: string, signal: AbortSignal): Promise<IncomingMessage | undefined>;
  /** Takes a blob over from another repository. @returns false when it has to be uploaded after all */
  mountBlob(repository: string, digest: string, from: string, signal: AbortSignal): Promise<boolean>;
  /** Resumes and repeats by itself. */
  uploadBlob(repository: string, blob: Blob, options: UploadOptions): Promise<void>;
  /** Begins an upload and cancels it: proof that the registry can write. */
  tryUpload(repository: string, signal: AbortSignal): Promise<void>;
  /** Tags, page by page; none for an unknown repository. */
  tags(repository: string, signal: AbortSignal): AsyncGenerator<readonly string[]>;
  /** Repositories that the login may see, page by page; no inventory: empty ones are among them. */
  repositories(signal: AbortSignal): AsyncGenerator<readonly string[]>;
  /** Ends idle connections. */
  close(): void;
};

export type RegistryClientNeeds = {
  /** e.g. `https://registry.slipway-system.svc` */
  readonly origin: string;
  /** How the host of `origin` is reached; TCP to that host unless given. */
  readonly connect?: Connect;
  readonly ca: () => string | undefined;
  readonly serverName?: string;
  readonly login: () => Login | undefined;
  /** What may be repeated is, for so long, while the registry is away: its pod may be being replaced. 0 unless given. */
  readonly patienceMs?: number;
  readonly clock: Clock;
  readonly random: Random;
};

const pageSize = 500;
const readAttempts = 3;

export function createRegistryClient(needs: RegistryClientNeeds): RegistryClient {
  const origin = new URL(needs.origin);
  const exchange = createExchange({
    origin,
    connect: needs.connect ?? createTcpConnect(addressOf(origin)),
    ca: needs.ca,
    ...(needs.serverName === undefined ? {} : { serverName: needs.serverName }),
  });
  const { patienceMs = 0, clock, random } = needs;
  const session = createSession({ exchange, login: needs.login, patienceMs, clock, random });
  const uploads = createUploads({ session, patienceMs, clock, random });
  const read = (repository: string, path: string, signal: AbortSignal) => ({
    path: `/v2/${repository}/${path}`,
    scope: pullScope(repository),
    attempts: readAttempts,
    signal,
  });

  return {
    origin,
    async ping(signal) {
      await discardBody(await session.send({ method: "GET", path: "/v2/", scope: "", expect: [200], signal }));
    },
    async headManifest(repository, reference, signal) {
      const request = read(repository, `manifests/${reference}`, signal);
      const headers = { accept: manifestAccept };
      const response = await session.send({ ...request, method: "HEAD", headers, expect: [200, 404] });
      await discardBody(response);
      if (response.statusCode === 404) return undefined;
      return describe(response) ?? (await this.getManifest(repository, reference, signal).then(descriptorOf));
    },
    async getManifest(repository, reference, signal) {
      const request = read(repository, `manifests/${reference}`, signal);
      const headers = { accept: manifestAccept };
      const response = await session.send({ ...request, method: "GET", headers, expect: [200, 404] });
      const bytes = await readBody(response);
      if (response.statusCode === 404) return undefined;
      return verifiedManifest(response, bytes, reference);
    },
    async putManifest(repository, reference, manifest, signal) {
      const response = await session.send({
        method: "PUT",
        path: `/v2/${repository}/manifests/${reference}`,
        scope: pushScope(repository),
        headers: { "content-type": manifest.mediaType },
        body: bufferBody(manifest.bytes),
        expect: [201],
        attempts: readAttempts,
        signal,
      });
      await discardBody(response);
    },
    async deleteManifest(repository, reference, signal) {
      const path = `/v2/${repository}/manifests/${reference}`;
      const scope = `repository:${repository}:delete`;
      const response = await session.send({ method: "DELETE", path, scope, expect: [202, 404], signal });
      await discardBody(response);
      return response.statusCode === 202;
    },
    async hasBlob(repository, digest, signal) {
      // A redirect to the storage is given only for what is there; it is not followed.
      const expect = [200, 307, 404];
      const response = await session.send({ ...read(repository, `blobs/${digest}`, signal), method: "HEAD", expect });
      await discardBody(response);
      return response.statusCode !== 404;
    },
    async getBlob(repository, digest, signal) {
      const request = read(repository, `blobs/${digest}`, signal);
      const response = await session.send({ ...request, method: "GET", expect: [200, 404] });
      if (response.statusCode === 200) return response;
      await discardBody(response);
      return undefined;
    },
    mountBlob: uploads.mount,
    uploadBlob: uploads.upload,
    tryUpload: uploads.tryOut,
    tags(repository, signal) {
      const first = `/v2/${repository}/tags/list?n=${pageSize}`;
      return pages(session, { first, field: "tags", scope: pullScope(repository), signal });
    },
    repositories(signal) {
      const first = `/v2/_catalog?n=${pageSize}`;
      return pages(session, { first, field: "repositories", scope: "registry:catalog:*", signal });
    },
    close: exchange.close,
  };
}

function pullScope(repository: string): string {
  return `repository:${repository}:pull`;
}

export function pushScope(repository: string): string {
  return `repository:${repository}:pull,push`;
}

async function* pages(
  session: Session,
  list: { readonly first: string; readonly field: string; readonly scope: string; readonly signal: AbortSignal },
): AsyncGenerator<readonly string[]> {
  const seen = new Set<string>();
  let path: string | undefined = list.first;
  while (path !== undefined && !seen.has(path)) {
    seen.add(path);
    const request = { path, scope: list.scope, signal: list.signal, attempts: readAttempts };
    const response: IncomingMessage = await session.send({ ...request, method: "GET", expect: [200, 404] });
    if (response.statusCode === 404) {
      await discardBody(response);
      return;
    }
    const answer = await readJson(response, { origin: session.origin, method: "GET", path }, [200]);
    yield stringsOf((answer as Record<string, unknown> | null)?.[list.field]);
    path = nextPage([response.headers.link ?? []].flat().join(", "), session.origin, path);
  }
}

/** `tags` of an empty repository is null. */
function stringsOf(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((item): item is string => typeof item === "string") : [];
}

function describe(response: IncomingMessage): ManifestDescriptor | undefined {
  const digest = response.headers["docker-content-digest"];
  if (typeof digest !== "string" || digest === "") return undefined;
  return { digest, mediaType: mediaTypeOf(response), size: Number(response.headers["content-length"] ?? 0) };
}

function descriptorOf(manifest: Manifest | undefined): ManifestDescriptor | undefined {
  return manifest && { digest: manifest.digest, mediaType: manifest.mediaType, size: manifest.bytes.length };
}

function verifiedManifest(response: IncomingMessage, bytes: Buffer, reference: string): Manifest {
  const digest = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
  if (reference.startsWith("sha256:") && reference !== digest) {
    const message = `the manifest ${reference} came back with other content (${digest})`;
    throw new RegistryError({ status: 200, code: "DIGEST_INVALID", message });
  }
  return { digest, mediaType: mediaTypeOf(response), bytes };
}

function mediaTypeOf(response: IncomingMessage): string {
  return (response.headers["content-type"] ?? "").split(";")[0]?.trim() ?? "";
}

function bufferBody(bytes: Buffer) {
  return { size: bytes.length, open: () => Readable.from([bytes]) };
}
