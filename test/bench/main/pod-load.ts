// Creates pods at a constant rate, whatever comes back when, and prints the latencies in milliseconds as JSON.
// Arguments: kubeconfig, namespace, pods per second, seconds.
import { readFileSync } from "node:fs";
import { Agent, request } from "node:https";
import { parse } from "yaml";

const [kubeconfig = "", namespace = "", rate = "", seconds = ""] = process.argv.slice(2);
const { clusters, users } = parse(readFileSync(kubeconfig, "utf8"));
const decode = (text: string) => Buffer.from(text, "base64");
const agent = new Agent({
  keepAlive: true,
  maxSockets: 64,
  ca: decode(clusters[0].cluster["certificate-authority-data"]),
  cert: decode(users[0].user["client-certificate-data"]),
  key: decode(users[0].user["client-key-data"]),
});
const url = new URL(`/api/v1/namespaces/${namespace}/pods`, clusters[0].cluster.server);
const warmUp = Number(rate);
const total = Number(rate) * Number(seconds) + warmUp;
const latencies: number[] = [];
const startedAt = performance.now();
let sent = 0;
let answered = 0;

const timer = setInterval(() => {
  const due = Math.min(total, Math.floor(((performance.now() - startedAt) / 1_000) * Number(rate)));
  while (sent < due) send(sent++);
  if (sent >= total) clearInterval(timer);
}, 1);

function send(index: number): void {
  const body = JSON.stringify({
    metadata: { generateName: "bench-", labels: { app: "bench" } },
    spec: {
      containers: [
        { name: "a", image: "tool:1" },
        { name: "b", image: "nginx:1.27" },
      ],
    },
  });
  const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
  const sentAt = performance.now();
  const exchange = request(url, { method: "POST", agent, headers }, (response) => {
    if (response.statusCode !== 201) throw new Error(`the API server answered ${response.statusCode}`);
    response.resume().once("end", () => {
      answered++;
      if (index >= warmUp) latencies.push(performance.now() - sentAt);
      if (answered === total) finish();
    });
  });
  exchange.end(body);
}

function finish(): void {
  process.stdout.write(`${JSON.stringify(latencies)}\n`);
  agent.destroy();
}
