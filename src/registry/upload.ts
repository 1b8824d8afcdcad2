import type { IncomingMessage } from "node:http";
import type { Clock, Random } from "../clock.ts";
import { discardBody } from "./answer.ts";
import type { Blob } from "./blob.ts";
import { createPatience, type Patience } from "./patience.ts";
import { isRetryable, RegistryError } from "./registry-error.ts";
import type { Session } from "./session.ts";

export type UploadOptions = {
  /** Called with the bytes of this blob that the registry has confirmed or that are on their way. */
  readonly onProgress?: (sentBytes: number) => void;
  /** Failures in a row, without a further byte confirmed, after which it gives up; 5 unless given. */
  readonly attempts?: number;
  readonly signal: AbortSignal;
};

export type Uploads = {
  upload(repository: string, blob: Blob, options: UploadOptions): Promise<void>;
  mount(repository: string, digest: string, from: string, signal: AbortSignal): Promise<boolean>;
  tryOut(repository: string, signal: AbortSignal): Promise<void>;
};

/** Larger blobs go in chunks of this size, so that a break costs at most one. S3 wants 5 MiB and more. */
const chunkBytes = 32 * 1024 * 1024;
const defaultAttempts = 5;
/** Distribution hashes the whole blob before it answers the last PUT. */
const finishIdleMs = 300_000;

/** An upload in progress: where the next bytes go, and how many the registry has. */
type Upload = { readonly location: string; readonly offset: number };
type UploadProgress = { upload: Upload | undefined; readonly patience: Patience };

/** @see https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pushing-blobs */
export function createUploads(needs: {
  readonly session: Session;
  /** Beyond its attempts an upload goes on trying for so long after its last progress. */
  readonly patienceMs: number;
  readonly clock: Clock;
  readonly random: Random;
}): Uploads {
  const { session, clock, patienceMs } = needs;

  async function begin(repository: string, signal: AbortSignal): Promise<Upload> {
    const path = `/v2/${repository}/blobs/uploads/`;
    const scope = pushScope(repository);
    const response = await session.send({ method: "POST", path, scope, expect: [202], signal });
    await discardBody(response);
    return { location: locationOf(response, session.origin, path), offset: 0 };
  }

  async function sendChunk(repository: string, blob: Blob, upload: Upload, options: UploadOptions): Promise<Upload> {
    const end = Math.min(upload.offset + chunkBytes, blob.size);
    const response = await session.send({
      method: "PATCH",
      path: upload.location,
      scope: pushScope(repository),
      headers: { "content-type": "application/octet-stream", "content-range": `${upload.offset}-${end - 1}` },
      body: countedBody(blob, upload.offset, end, options),
      expect: [202],
      signal: options.signal,
    });
    await discardBody(response);
    return { location: locationOf(response, session.origin, upload.location), offset: end };
  }

  async function finish(repository: string, blob: Blob, upload: Upload, options: UploadOptions): Promise<void> {
    const url = new URL(upload.location, session.origin);
    url.searchParams.set("digest", blob.digest);
    const response = await session.send({
      method: "PUT",
      path: `${url.pathname}${url.search}`,
      scope: pushScope(repository),
      headers: { "content-type": "application/octet-stream" },
      ...(upload.offset < blob.size ? { body: countedBody(blob, upload.offset, blob.size, options) } : {}),
      idleMs: finishIdleMs,
      expect: [201, 204],
      signal: options.signal,
    });
    await discardBody(response);
  }

  /** Where the registry stands after a break; undefined: the upload is gone and has to begin anew. */
  async function recall(repository: string, upload: Upload, signal: AbortSignal): Promise<Upload | undefined> {
    try {
      const path = upload.location;
      const response = await session.send({ method: "GET", path, scope: pushScope(repository), expect: [204], signal });
      await discardBody(response);
      const last = Number(/^(?:bytes=)?0-(\d+)$/.exec(response.headers.range ?? "")?.[1] ?? 0);
      // "0-0" stands for nothing and for one byte alike in Distribution: begin anew.
      if (last === 0) return undefined;
      return { location: locationOf(response, session.origin, path), offset: last + 1 };
    } catch (error) {
      if (isRetryable(error)) return upload;
      if (error instanceof RegistryError) return undefined;
      throw error;
    }
  }

  /** After a break of the last PUT the blob may be there all the same. False when the registry does not tell. */
  async function hasArrived(repository: string, digest: string, signal: AbortSignal): Promise<boolean> {
    const path = `/v2/${repository}/blobs/${digest}`;
    const request = { path, scope: pushScope(repository), signal };
    try {
      await discardBody(await session.send({ ...request, method: "HEAD", expect: [200, 307] }));
      return true;
    } catch (error) {
      if (error instanceof RegistryError) return false;
      throw error;
    }
  }

  /** One run until the blob is complete or something breaks; `progress` tells the next one where it stood. */
  async function attempt(
    repository: string,
    blob: Blob,
    options: UploadOptions,
    progress: UploadProgress,
  ): Promise<void> {
    progress.upload ??= await begin(repository, options.signal);
    while (blob.size - progress.upload.offset > chunkBytes) {
      progress.upload = await sendChunk(repository, blob, progress.upload, options);
      progress.patience.progressed();
    }
    await finish(repository, blob, progress.upload, options);
  }

  /** After a break: waits, and finds out where the registry stands. @returns true when the blob is there already */
  async function recover(
    error: unknown,
    repository: string,
    blob: Blob,
    options: UploadOptions & { readonly progress: UploadProgress },
  ): Promise<boolean> {
    const { progress, signal } = options;
    const delayMs = mayGoOn(error) ? progress.patience.afterFailure(error) : undefined;
    if (delayMs === undefined) throw error;
    await clock.sleep(delayMs, signal);
    if (await hasArrived(repository, blob.digest, signal)) return true;
    progress.upload = progress.upload && (await recall(repository, progress.upload, signal));
    options.onProgress?.(progress.upload?.offset ?? 0);
    return false;
  }

  return {
    async upload(repository, blob, options) {
      const { attempts = defaultAttempts } = options;
      const progress: UploadProgress = { upload: undefined, patience: createPatience(needs, { attempts, patienceMs }) };
      for (;;) {
        try {
          return await attempt(repository, blob, options, progress);
        } catch (error) {
          if (await recover(error, repository, blob, { ...options, progress })) return;
        }
      }
    },
    async mount(repository, digest, from, signal) {
      const path = `/v2/${repository}/blobs/uploads/`;
      const query = new URLSearchParams({ mount: digest, from });
      const scope = `${pushScope(repository)} repository:${from}:pull`;
      const response = await session.send({
        method: "POST",
        path: `${path}?${query}`,
        scope,
        expect: [201, 202],
        signal,
      });
      await discardBody(response);
      if (response.statusCode === 201) return true;
      await cancel(session, repository, locationOf(response, session.origin, path), signal);
      return false;
    },
    async tryOut(repository, signal) {
      const upload = await begin(repository, signal);
      await cancel(session, repository, upload.location, signal);
    },
  };
}

async function cancel(session: Session, repository: string, location: string, signal: AbortSignal): Promise<void> {
  // Distribution asks for `delete` to cancel an upload, as to delete a manifest (handlers/app.go, appendAccessRecords).
  const scope = `repository:${repository}:delete`;
  await discardBody(await session.send({ method: "DELETE", path: location, scope, expect: [202, 204], signal }));
}

function pushScope(repository: string): string {
  return `repository:${repository}:pull,push`;
}

/** Beside faults of the way: an upload that the registry has lost or holds at another place. */
function mayGoOn(error: unknown): boolean {
  if (isRetryable(error)) return true;
  if (!(error instanceof RegistryError)) return false;
  return error.status === 416 || error.code === "BLOB_UPLOAD_UNKNOWN" || error.code === "BLOB_UPLOAD_INVALID";
}

function countedBody(blob: Blob, start: number, end: number, options: UploadOptions) {
  return {
    size: end - start,
    open: () => {
      let sent = start;
      const body = blob.open(start, end);
      if (options.onProgress !== undefined) {
        body.on("data", (chunk: Buffer) => {
          sent += chunk.length;
          options.onProgress?.(sent);
        });
        body.pause();
      }
      return body;
    },
  };
}

/** Path and query of `Location`. A registry that sends our login to another host is refused. */
function locationOf(response: IncomingMessage, origin: URL, current: string): string {
  const header = response.headers.location;
  const url = header === undefined ? undefined : new URL(header, new URL(current, origin));
  if (url === undefined || url.host !== origin.host) {
    const message =
      url === undefined
        ? `${origin.origin} began an upload without saying where it goes on`
        : `${origin.origin} sends uploads on to ${url.host}; they are not followed to another host`;
    throw new RegistryError({ status: response.statusCode ?? 0, code: "LOCATION_REFUSED", message });
  }
  return `${url.pathname}${url.search}`;
}
