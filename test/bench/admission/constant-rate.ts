// Sends a review at a constant rate, whatever comes back when, and prints the latencies in milliseconds as JSON.
// Arguments: port, file of the body, file of the CA, requests per second, seconds.
import { readFileSync } from "node:fs";
import { Agent, request } from "node:https";

const [port = "", bodyFile = "", caFile = "", rate = "", seconds = ""] = process.argv.slice(2);
const body = readFileSync(bodyFile);
const agent = new Agent({ keepAlive: true, ca: readFileSync(caFile), maxSockets: 64 });
const headers = { "content-type": "application/json", "content-length": body.length };
const total = Number(rate) * Number(seconds);
const latencies: number[] = [];
/** Connections are opened and code is compiled in the first second. */
const warmUp = Number(rate);
const startedAt = performance.now();
let sent = 0;

const timer = setInterval(() => {
  const due = Math.min(total + warmUp, Math.floor(((performance.now() - startedAt) / 1_000) * Number(rate)));
  while (sent < due) send(sent++);
  if (sent >= total + warmUp) clearInterval(timer);
}, 1);

function send(index: number): void {
  const sentAt = performance.now();
  const exchange = request(
    { host: "127.0.0.1", port, path: "/mutate?timeout=5s", method: "POST", agent, headers },
    (response) => {
      if (response.statusCode !== 200) throw new Error(`answered ${response.statusCode}`);
      response.resume().once("end", () => {
        if (index >= warmUp) latencies.push(performance.now() - sentAt);
        if (latencies.length === total) finish();
      });
    },
  );
  exchange.end(body);
}

function finish(): void {
  process.stdout.write(`${JSON.stringify(latencies)}\n`);
  agent.destroy();
}
