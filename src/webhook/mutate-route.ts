import type { IncomingMessage, ServerResponse } from "node:http";
import { Counter, Histogram, type Registry } from "prom-client";
import { type AdmissionAnswer, buildAnswer, buildFailOpenAnswer } from "../admission/answer.ts";
import type { Decision } from "../admission/decision.ts";
import { type AdmissionRequest, parseReview } from "../admission/review.ts";
import type { Clock } from "../clock.ts";
import { readBody, reviewLimitBytes } from "../http/body.ts";
import type { Log } from "../log.ts";

export type MutateRouteNeeds = {
  /** Decides one request; may wait for the pull Secret until `deadlineMs` (Clock.monotonicMs), not longer. */
  readonly decide: (request: AdmissionRequest, deadlineMs: number) => Decision | Promise<Decision>;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Registry;
};

/** `timeoutSeconds` of our webhook configuration: what counts when the API server names no timeout. */
const defaultTimeoutMs = 5_000;
/** Kept for the answer's way back. */
const answerReserveMs = 250;

/**
 * The handler of `/mutate`. Every review that can be read is answered `allowed: true`; a body that is no review is
 * refused with 400, 413 or 415 and a reason, another method with 405. Nothing that happens inside becomes a 5xx.
 *
 * @see https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#request
 */
export function createMutateHandler(
  needs: MutateRouteNeeds,
): (request: IncomingMessage, response: ServerResponse) => Promise<void> {
  const { decide, clock, log } = needs;
  const meter = createMeter(needs.metrics);

  async function answer(request: AdmissionRequest, deadlineMs: number): Promise<AdmissionAnswer> {
    const startedAtMs = clock.monotonicMs();
    try {
      const pending = decide(request, deadlineMs);
      const decision = pending instanceof Promise ? await pending : pending;
      meter.observe(decision, clock.monotonicMs() - startedAtMs);
      logDecision(log, request, decision);
      return buildAnswer(request.uid, decision);
    } catch (error) {
      meter.fault();
      log.error({ err: error, uid: request.uid, namespace: request.namespace }, "admission failed open");
      return buildFailOpenAnswer(
        request.uid,
        "slipway: an internal error kept this pod as it is; see the log of slipway serve",
      );
    }
  }

  return async (request, response) => {
    if (request.method !== "POST") {
      response.setHeader("allow", "POST");
      return sendText(response, 405, "send an AdmissionReview by POST");
    }
    const deadlineMs = clock.monotonicMs() + timeoutOf(request.url ?? "") - answerReserveMs;
    const body = await readBody(request, { limitBytes: reviewLimitBytes, contentType: "application/json" });
    if (body.kind === "aborted") return;
    if (body.kind === "refused") {
      meter.refuse(String(body.status));
      return sendText(response, body.status, body.reason);
    }
    const reading = parseReview(body.bytes.toString("utf8"));
    if (reading.kind === "refused") {
      meter.refuse(reading.reason);
      return sendText(response, reading.status, reading.message);
    }
    sendJson(response, JSON.stringify(await answer(reading.request, deadlineMs)));
  };
}

/** The API server appends `?timeout=5s`, the webhook's `timeoutSeconds` or what is left of the request's own time. */
function timeoutOf(url: string): number {
  const given = /[?&]timeout=(?:(\d{1,4})m)?(\d{1,6}(?:\.\d{1,9})?)(ms|s)(?:&|$)/.exec(url);
  if (given === null) return defaultTimeoutMs;
  const [, minutes = "0", amount = "0", unit] = given;
  const ms = Number(minutes) * 60_000 + Number(amount) * (unit === "ms" ? 1 : 1_000);
  return Math.max(answerReserveMs, Math.min(ms, 30_000));
}

function logDecision(log: Log, request: AdmissionRequest, decision: Decision): void {
  if (!log.isLevelEnabled("debug")) return;
  const { uid, namespace, name, operation, dryRun } = request;
  const reason = decision.kind === "untouched" ? decision.reason : undefined;
  log.debug(
    { uid, namespace, name, operation, dryRun, decision: decision.kind, reason, ...decision.counts },
    "admission",
  );
}

function sendText(response: ServerResponse, status: number, reason: string): void {
  const text = Buffer.from(`${reason}\n`);
  response.writeHead(status, { "content-type": "text/plain; charset=utf-8", "content-length": text.length }).end(text);
}

function sendJson(response: ServerResponse, text: string): void {
  // A string goes out in one write with the headers; a buffer would take a second one through TLS.
  const length = Buffer.byteLength(text);
  response.writeHead(200, { "content-type": "application/json", "content-length": length }).end(text);
}

function createMeter(metrics: Registry) {
  const registers = [metrics];
  const duration = new Histogram({
    name: "slipway_admission_duration_seconds",
    help: "Time from a parsed AdmissionReview to the decision, the inline ensure included",
    buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1],
    registers,
  });
  const decisions = new Counter({
    name: "slipway_admission_decisions_total",
    help: "Decisions by kind",
    labelNames: ["kind"],
    registers,
  });
  const images = new Counter({
    name: "slipway_admission_images_total",
    help: "Image references by how they were dealt with",
    labelNames: ["outcome"],
    registers,
  });
  const refusals = new Counter({
    name: "slipway_admission_refused_total",
    help: "Request bodies that were no AdmissionReview",
    labelNames: ["reason"],
    registers,
  });
  const faults = new Counter({
    name: "slipway_admission_internal_errors_total",
    help: "Requests that were allowed unchanged because of an internal error",
    registers,
  });
  return {
    observe(decision: Decision, durationMs: number) {
      duration.observe(durationMs / 1_000);
      decisions.inc({ kind: decision.kind });
      for (const [outcome, count] of Object.entries(decision.counts)) images.inc({ outcome }, count);
    },
    refuse: (reason: string) => refusals.inc({ reason }),
    fault: () => faults.inc(),
  };
}
