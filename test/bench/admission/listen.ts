import { readFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";

/** Serves `handler` with the certificate that the arguments name, and prints the port as its first line. */
export function listen(handler: (request: IncomingMessage, response: ServerResponse) => unknown): void {
  const [certificate = "", key = ""] = process.argv.slice(2);
  const server = createServer({ cert: readFileSync(certificate), key: readFileSync(key) }, (request, response) => {
    void handler(request, response);
  });
  server.listen(0, "127.0.0.1", () => process.stdout.write(`${(server.address() as AddressInfo).port}\n`));
  process.once("SIGTERM", () => process.exit(0));
}
