// Slipway's own route, as serve has it behind port 8443. With `direct` as third argument the handler stands before
// express, for a look at what express costs.
import express from "express";
import { Registry } from "prom-client";
import { systemClock } from "../../../src/clock.ts";
import { createErrorHandler } from "../../../src/http/error-handler.ts";
import { createLog } from "../../../src/log.ts";
import { createMutateHandler } from "../../../src/webhook/mutate-route.ts";
import { listen } from "./listen.ts";
import { createBenchDecide } from "./world.ts";

const metrics = new Registry();
const log = createLog({ level: "info" }, { write: () => {} });
const handler = createMutateHandler({ decide: createBenchDecide(metrics), clock: systemClock, log, metrics });
const app = express().disable("x-powered-by").disable("etag");
app.all("/mutate", handler);
app.use(createErrorHandler(log));
listen(process.argv[4] === "direct" ? handler : app);
