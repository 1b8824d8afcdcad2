import type { IncomingMessage } from "node:http";
import { readBody } from "../http/body.ts";
import type { EventHub } from "./event-hub.ts";
import type { Forwarder, ForwardOrder, ForwardOutcome } from "./forward.ts";
import { checkManifestShape, manifestLimitBytes } from "./manifest-shape.ts";
import { sendError } from "./refusal.ts";
import { formatRegistryPath, isDigest, type RegistryRoute } from "./repository-path.ts";
import { explainWriteFault } from "./write-fault.ts";

type ManifestRoute = Extract<RegistryRoute, { kind: "manifest" }>;

/**
 * A manifest that is pushed or deleted, by a caller who may: its shape is looked at before Distribution sees it, and
 * what Distribution has taken is announced to the catalogue's streams.
 *
 * @param caller `authorization` is the header for Distribution
 */
export async function writeManifest(
  needs: { readonly forwarder: Forwarder; readonly hub: EventHub; readonly manifestWithinMs: number },
  route: ManifestRoute,
  caller: Pick<ForwardOrder, "request" | "response" | "record"> & { readonly authorization: string },
): Promise<void> {
  const { request, response, record, authorization } = caller;
  const target = formatRegistryPath(route);
  const order = { request, response, record, target, headers: { authorization }, explain: explainWriteFault };
  if (request.method === "DELETE") {
    const outcome = await needs.forwarder.forward(order);
    return announceDeleted(needs.hub, route, outcome);
  }
  if (isForm(request)) {
    // Distribution would take the body apart as a form before it looks at it as a manifest.
    return sendError(response, 400, { code: "MANIFEST_INVALID", message: "a manifest is sent as JSON" });
  }
  const body = await readBody(request, { limitBytes: manifestLimitBytes, withinMs: needs.manifestWithinMs });
  if (body.kind === "aborted") return;
  if (body.kind === "refused") {
    // Of a manifest that did not come in time nobody knows whether it is one.
    const code = body.status === 408 ? "UNSUPPORTED" : "MANIFEST_INVALID";
    return sendError(response, body.status, { code, message: body.reason });
  }
  const verdict = checkManifestShape(body.bytes);
  if (verdict.kind === "refused") {
    return sendError(response, 400, { code: "MANIFEST_INVALID", message: verdict.reason });
  }
  const outcome = await needs.forwarder.forward({ ...order, body: body.bytes });
  announcePushed(needs.hub, route, outcome);
}

function isForm(request: IncomingMessage): boolean {
  return /^\s*(?:application\/x-www-form-urlencoded|multipart\/)/i.test(request.headers["content-type"] ?? "");
}

function announcePushed(hub: EventHub, route: ManifestRoute, outcome: ForwardOutcome | undefined): void {
  const [digest] = [outcome?.headers["docker-content-digest"]].flat();
  if (outcome?.status !== 201 || digest === undefined) return;
  const tag = isDigest(route.reference) ? null : route.reference;
  hub.publish({ type: "pushed", repository: route.repository, tag, digest });
}

function announceDeleted(hub: EventHub, route: ManifestRoute, outcome: ForwardOutcome | undefined): void {
  if (outcome?.status !== 202) return;
  const isByDigest = isDigest(route.reference);
  const tag = isByDigest ? null : route.reference;
  hub.publish({
    type: "deleted",
    repository: route.repository,
    tag,
    digest: isByDigest ? route.reference : null,
  });
}
