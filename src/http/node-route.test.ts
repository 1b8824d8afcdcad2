import assert from "node:assert/strict";
import { describe, test } from "node:test";
import express from "express";
import request from "supertest";
import { createManualClock } from "../../test/fake/clock.ts";
import type { TokenReviewer, TokenVerdict } from "../cluster/token-review.ts";
import { createLog } from "../log.ts";
import { agentUsername } from "../node/agent-token.ts";
import type { DeskAnswer, NodeIdentity } from "../node/desk.ts";
import type { NodeReport } from "../node/protocol.ts";
import { createNodeRoute, nodeReportLimitBytes } from "./node-route.ts";

const clock = createManualClock();
const orders: DeskAnswer = {
  kind: "orders",
  orders: { protocol: 1, revision: "r", registry: null, modes: [], remove: [], lookCount: 0 },
};
const report = { protocol: 1, seen: "", agentVersion: "0.1.0", findings: null };

function token(claims: object = {}): string {
  const payload = { sub: agentUsername, aud: ["slipway-agent"], exp: clock.nowMs() / 1000 + 600, ...claims };
  return ["e30", Buffer.from(JSON.stringify(payload)).toString("base64url"), "signature"].join(".");
}

const agent: TokenVerdict = {
  kind: "authenticated",
  username: agentUsername,
  uid: "1",
  groups: [],
  extra: {
    "authentication.kubernetes.io/node-name": ["worker-1"],
    "authentication.kubernetes.io/node-uid": ["uid-1"],
  },
  audiences: ["slipway-agent"],
};

function open(verdict: TokenVerdict | Error = agent, answer: DeskAnswer | Error = orders) {
  const polls: { readonly node: NodeIdentity; readonly report: NodeReport }[] = [];
  let reviews = 0;
  const reviewer: TokenReviewer = {
    review: async () => {
      reviews += 1;
      if (verdict instanceof Error) throw verdict;
      return verdict;
    },
  };
  const desk = {
    poll: async (node: NodeIdentity, given: NodeReport) => {
      polls.push({ node, report: given });
      if (answer instanceof Error) throw answer;
      return answer;
    },
  };
  const app = express();
  app.all("/node", createNodeRoute({ desk, reviewer, clock, log: createLog({ level: "silent" }) }));
  const post = (bearer: string | undefined, body: string | object = report) => {
    const sent = request(app).post("/node").set("content-type", "application/json");
    if (bearer !== undefined) sent.set("authorization", `Bearer ${bearer}`);
    return sent.send(body);
  };
  return { app, polls, post, reviews: () => reviews };
}

describe("POST /node", () => {
  test("gives the agent of a node its orders", async () => {
    const { post, polls } = open();
    const answer = await post(token());
    assert.equal(answer.status, 200);
    assert.equal(answer.body.revision, "r");
    assert.deepEqual(polls, [{ node: { name: "worker-1", uid: "uid-1" }, report }]);
  });

  const strangers: Readonly<Record<string, string | undefined>> = {
    "no token": undefined,
    "a token that is none": "x",
    "a token of another account": token({ sub: "system:serviceaccount:default:default" }),
    "a token of another audience": token({ aud: ["slipway-gateway"] }),
    "a token that has ended": token({ exp: clock.nowMs() / 1000 - 1 }),
  };
  for (const [name, bearer] of Object.entries(strangers)) {
    test(`${name} is 401, and the API server is not asked`, async () => {
      const { post, polls, reviews } = open();
      assert.equal((await post(bearer)).status, 401);
      assert.deepEqual([polls.length, reviews()], [0, 0]);
    });
  }

  const verdicts: Readonly<Record<string, TokenVerdict>> = {
    "a token that the API server refuses": { kind: "refused" },
    "another account, whatever its token claims": { ...agent, username: "system:serviceaccount:default:default" },
    "serve's own account": { ...agent, username: "system:serviceaccount:slipway-system:serve" },
    "another audience": { ...agent, audiences: ["https://kubernetes.default.svc"] },
    "a token that is not bound to a node": { ...agent, extra: {} },
  };
  for (const [name, verdict] of Object.entries(verdicts)) {
    test(`${name} is 401`, async () => {
      const { post, polls } = open(verdict);
      assert.equal((await post(token())).status, 401);
      assert.equal(polls.length, 0);
    });
  }

  test("an API server that is away is 503 with Retry-After", async () => {
    const answer = await open(new Error("away")).post(token());
    assert.deepEqual([answer.status, answer.headers["retry-after"]], [503, "5"]);
  });
  test("orders that are not known, and too many waiting, are 503 with Retry-After", async () => {
    for (const kind of ["unknown", "busy"] as const) {
      const answer = await open(agent, { kind }).post(token());
      assert.equal(answer.status, 503);
      assert.ok(Number(answer.headers["retry-after"]) > 0);
    }
  });
  test("a fault is 500 and says nothing", async () => {
    const answer = await open(agent, new Error("secret")).post(token());
    assert.deepEqual([answer.status, JSON.stringify(answer.body).includes("secret")], [500, false]);
  });

  for (const [name, body, status] of [
    ["no JSON", "{", 400],
    ["no report", { seen: 1 }, 400],
    ["nothing", "", 400],
    ["too much", { ...report, agentVersion: "x".repeat(nodeReportLimitBytes) }, 413],
  ] as const) {
    test(`a body with ${name} is ${status}`, async () => {
      const { post, polls } = open();
      assert.equal((await post(token(), body)).status, status);
      assert.equal(polls.length, 0);
    });
  }
  test("another content type is 415, another method 405", async () => {
    const { app } = open();
    const bearer = `Bearer ${token()}`;
    assert.equal(
      (await request(app).post("/node").set("authorization", bearer).set("content-type", "text/plain").send("x"))
        .status,
      415,
    );
    assert.equal((await request(app).get("/node").set("authorization", bearer)).status, 405);
  });
  test("what an agent writes is cut and cleaned, and what is not known is left out", async () => {
    const { post, polls } = open();
    const mode = { mode: "HostsToml", passed: false, reason: "not a word", message: `a\nb${"x".repeat(900)}`, more: 1 };
    const findings = {
      modes: [mode, { mode: "Teleport", passed: true }],
      trustedCas: ["zz", "ab".repeat(32)],
      removed: ["None", "x"],
    };
    await post(token(), { ...report, findings, later: {} });
    const noted = polls[0]?.report.findings;
    assert.equal(noted?.modes.length, 1);
    assert.equal(noted?.modes[0]?.reason, "Unknown");
    assert.match(noted?.modes[0]?.message ?? "", /^a bx{300,}$/);
    assert.deepEqual([noted?.trustedCas, noted?.removed], [["ab".repeat(32)], ["None"]]);
  });
});
