import type { IncomingMessage } from "node:http";
import type { KubernetesObject } from "./object.ts";
import type { ObjectAddress, Resource } from "./resource.ts";

/** Of a server-side apply; JSON is YAML. */
export const applyContentType = "application/apply-patch+yaml";

/** One exchange with the API server. */
export type ApiRequest = {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** Starts with `/api` or `/apis`; see resourcePath. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string | undefined>>;
  readonly body?: unknown;
  /** application/json unless given. */
  readonly contentType?: string;
  readonly accept?: string;
  /**
   * Whether to try again after 429, 503 and a lost connection. By default `json` does so for GET and server-side
   * apply, which may be repeated; `stream` never does.
   */
  readonly retry?: boolean;
  readonly signal: AbortSignal;
};

/** The transport: authentication, TLS, one shared pool of connections. Implemented in client.ts. */
export type ApiTransport = {
  /** @returns the parsed JSON body, raw: no revival of dates. @throws ApiError for every status of 400 and above */
  json(request: ApiRequest): Promise<unknown>;
  /** The response once its headers are in; the caller reads or destroys the body. @throws ApiError as above */
  stream(request: ApiRequest): Promise<IncomingMessage>;
};

/** An answer of the API server that is not a success: never carries a body or headers. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  /** HTTP status; 0 when no answer came (connection refused, reset, timeout). */
  readonly status: number;
  /** `reason` of the metav1.Status, e.g. `NotFound`, `Conflict`, `Expired`; "" when there is none. */
  readonly reason: string;
  readonly retryAfterMs: number | undefined;
  /** `details.causes[].reason`, e.g. `FieldManagerConflict`, `NamespaceTerminating`. */
  readonly causes: readonly string[];

  constructor(fields: {
    readonly status: number;
    readonly reason: string;
    /** `message` of the metav1.Status, which names objects and fields; callers redact it where it may echo content. */
    readonly message: string;
    readonly retryAfterMs?: number | undefined;
    readonly causes?: readonly string[];
    readonly cause?: unknown;
  }) {
    super(fields.message, fields.cause === undefined ? undefined : { cause: fields.cause });
    this.status = fields.status;
    this.reason = fields.reason;
    this.retryAfterMs = fields.retryAfterMs;
    this.causes = fields.causes ?? [];
  }
}

export type ApplyOptions = {
  /** False for a caller with a short deadline of its own; true unless given. */
  readonly retry?: boolean;
  /** Take fields that another manager owns; only for objects that carry our marker. */
  readonly force?: boolean;
  readonly subresource?: "status";
  readonly dryRun?: boolean;
};

/** The verbs that Slipway uses, typed loosely on purpose: callers narrow what they read. */
export type ClusterApi = {
  get(resource: Resource, address: ObjectAddress, signal: AbortSignal): Promise<KubernetesObject>;
  /** All items of a collection, paged. */
  list(resource: Resource, options: ListOptions, signal: AbortSignal): Promise<readonly KubernetesObject[]>;
  create(resource: Resource, object: KubernetesObject, options: CreateOptions): Promise<KubernetesObject>;
  /** Server-side apply with field manager `slipway`; `apiVersion` and `kind` are filled in. */
  apply(
    resource: Resource,
    object: KubernetesObject,
    options: ApplyOptions & { readonly signal: AbortSignal },
  ): Promise<KubernetesObject>;
  /** JSON merge patch (RFC 7386). */
  merge(resource: Resource, address: ObjectAddress, patch: unknown, signal: AbortSignal): Promise<KubernetesObject>;
  /** PUT; the object carries the resourceVersion that it was read with. */
  replace(
    resource: Resource,
    object: KubernetesObject,
    options: { readonly subresource?: string; readonly signal: AbortSignal },
  ): Promise<KubernetesObject>;
  delete(
    resource: Resource,
    address: ObjectAddress,
    options: {
      readonly preconditions?: { readonly uid?: string; readonly resourceVersion?: string };
      readonly signal: AbortSignal;
    },
  ): Promise<void>;
};

export type ListOptions = {
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  readonly metadataOnly?: boolean;
};

export type CreateOptions = {
  readonly dryRun?: boolean;
  readonly subresource?: { readonly name: string; readonly subresource: string };
  /** True for reviews, which may be repeated; false unless given. */
  readonly retry?: boolean;
  readonly signal: AbortSignal;
};
