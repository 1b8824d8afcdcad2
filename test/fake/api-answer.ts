import type { ServerResponse } from "node:http";
import { type Fault, type RecordedRequest, type Reply, type Route, statusOf, type WatchEnding } from "./api-route.ts";

type PlainReply = Extract<Reply, { readonly status: number }>;

/**
 * Answers one request as its route says; without a route, or with one that says nothing, 404.
 *
 * @param onOpen called when the answer is a watch that stays open
 */
export function answerRequest(
  route: Route | undefined,
  request: RecordedRequest,
  response: ServerResponse,
  onOpen: () => void,
): void {
  const reply = typeof route?.reply === "function" ? route.reply(request) : route?.reply;
  if (route?.fault !== undefined) answerWithFault(route.fault, reply, response);
  else if (reply === undefined) answerPlainly(statusOf(404, { reason: "NotFound" }) as PlainReply, response);
  else if ("status" in reply) answerPlainly(reply, response);
  else {
    writeHead(response, 200);
    onOpen();
    response.write(reply.watch.map(lineOf).join(""));
    if (reply.end !== undefined && reply.end !== "open") endWatch(response, reply.end);
  }
}

function answerPlainly(reply: PlainReply, response: ServerResponse): void {
  writeHead(response, reply.status, reply.headers);
  response.end(JSON.stringify(reply.body));
}

function answerWithFault(fault: Fault, reply: Reply | undefined, response: ServerResponse): void {
  if (fault === "hang") return;
  if (fault === "reset" && reply === undefined) return void response.destroy();
  const isPlain = reply !== undefined && "status" in reply;
  writeHead(response, isPlain ? reply.status : 200, isPlain ? reply.headers : {});
  if (fault === "silence") return;
  const lines = isPlain
    ? JSON.stringify(reply.body)
    : (reply?.watch ?? [{ type: "ADDED", object: {} }]).map(lineOf).join("");
  if (fault === "slow") return void writeSlowly(response, lines);
  const bytes = Buffer.from(lines);
  const half = bytes.subarray(0, Math.ceil(bytes.length / 2));
  response.write(half, () => endWatch(response, fault === "reset" ? "reset" : "close"));
}

function writeHead(response: ServerResponse, status: number, headers: Readonly<Record<string, string>> = {}): void {
  response.writeHead(status, { "content-type": "application/json", ...headers }).flushHeaders();
}

function writeSlowly(response: ServerResponse, body: string): void {
  const bytes = Buffer.from(body);
  const write = (from: number): void => {
    if (from >= bytes.length) return void response.end();
    response.write(bytes.subarray(from, from + 3), () => setImmediate(write, from + 3));
  };
  write(0);
}

/** Ends a watch that was left open. */
export function endWatch(response: ServerResponse, ending: Exclude<WatchEnding, "open">): void {
  if (ending === "reset") response.destroy();
  else if (ending === "half-line") response.end('{"type":"ADDED","object":{"metadata":{"na');
  else response.end();
}

export function writeLine(response: ServerResponse, event: unknown): void {
  response.write(lineOf(event));
}

function lineOf(event: unknown): string {
  return `${typeof event === "string" ? event : JSON.stringify(event)}\n`;
}
