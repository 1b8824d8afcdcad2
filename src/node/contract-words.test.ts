import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { KubernetesObject } from "../cluster/object.ts";
import { slipwayPlace } from "./contract-pod.ts";
import { explainPull, isRefusal, readPulls } from "./contract-words.ts";

const image = "registry.slipway-system.svc/slipway-check/contract:a-b";

function event(reason: string, note: string, container?: string, type = "Normal"): KubernetesObject {
  const fieldPath = container === undefined ? undefined : `spec.containers{${container}}`;
  return { metadata: { name: "e" }, reason, note, type, regarding: { fieldPath } };
}
const pulled = (container: string) => event("Pulled", `Successfully pulled image "${image}" in 28ms`, container);
const failedPull = (words: string, container = "name-0") =>
  event("Failed", `Failed to pull image "${image}": ${words}`, container, "Warning");
/** As containerd 2.1.9 said it on kind. */
const refusal = `failed to pull and unpack image "${image}": failed to resolve reference "${image}": pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed`;

describe("the pulls of a pod", () => {
  const cases: readonly {
    readonly name: string;
    readonly events: readonly KubernetesObject[];
    readonly kind: "pulled" | "failing" | "waiting";
    readonly containers?: readonly string[];
  }[] = [
    { name: "without Events nothing is known", events: [], kind: "waiting" },
    { name: "one Event Pulled is the proof", events: [pulled("name-0")], kind: "pulled" },
    {
      name: "an image that was there already proves nothing",
      events: [event("Pulled", `Container image "${image}" already present on machine`, "name-0")],
      kind: "waiting",
    },
    {
      name: "every container has to have pulled",
      events: [pulled("name-0")],
      containers: ["name-0", "name-1"],
      kind: "waiting",
    },
    {
      name: "that nothing in it can run does not matter",
      events: [pulled("name-0"), event("Failed", "Error: no command specified", "name-0", "Warning")],
      kind: "pulled",
    },
    { name: "a failed pull is failing", events: [failedPull(refusal)], kind: "failing" },
    { name: "a later success counts", events: [failedPull("i/o timeout"), pulled("name-0")], kind: "pulled" },
    {
      name: "one of two names that fails is failing",
      events: [pulled("name-0"), failedPull("no such host", "name-1")],
      containers: ["name-0", "name-1"],
      kind: "failing",
    },
  ];
  for (const { name, events, kind, containers = ["name-0"] } of cases) {
    test(name, () => assert.equal(readPulls(events, containers).kind, kind));
  }

  test("what keeps a pod from its pull is told", () => {
    const found = readPulls(
      [event("FailedCreatePodSandBox", "network is not ready", undefined, "Warning")],
      ["name-0"],
    );
    assert.deepEqual(found, { kind: "waiting", words: "FailedCreatePodSandBox: network is not ready" });
  });
  test("the runtime's words come without kubelet's prefix, and not without end", () => {
    const found = readPulls([failedPull(`${"x".repeat(2_000)} the end`)], ["name-0"]);
    assert.ok(found.kind === "failing" && found.words.length <= 410 && found.words.endsWith("the end"));
  });
});

describe("the meaning of the runtime's words", () => {
  const get = `failed to do request: Head "https://10.96.0.7:443/v2/slipway-check/contract/manifests/a":`;
  const cases: readonly (readonly [string, string])[] = [
    [`${get} proxyconnect tcp: dial tcp 10.0.0.9:3128: connect: connection refused`, "Proxy"],
    [`${get} Forbidden`, "Proxy"],
    [`${get} Service Unavailable`, "Proxy"],
    [`${get} Proxy Authentication Required`, "Proxy"],
    [`${get} tls: failed to verify certificate: x509: certificate signed by unknown authority`, "WrongCertificate"],
    [`${get} dial tcp: lookup registry.slipway-system.svc on 10.0.0.2:53: no such host`, "NameUnknown"],
    [`${get} http: server gave HTTP response to HTTPS client`, "NotARegistry"],
    [`${get} dial tcp 10.96.0.7:443: connect: connection refused`, "Unreachable"],
    [`${get} dial tcp 10.96.0.7:443: i/o timeout`, "Unreachable"],
    [refusal, "LoginRefused"],
    ["failed to authorize: failed to fetch anonymous token", "LoginRefused"],
    [`failed to resolve reference "${image}": ${image}: not found`, "ImageUnknown"],
    ["unexpected status from HEAD request: 503 Service Temporarily Away", "Unavailable"],
    ["the runtime has a bad day", "PullFailed"],
  ];
  for (const [words, reason] of cases) {
    test(`${reason}: ${words.slice(0, 90)}`, () => {
      const failure = explainPull(words, slipwayPlace);
      assert.equal(failure.reason, reason);
      assert.ok(failure.message.endsWith(words));
    });
  }
  test("a refusal is told from a failure", () => {
    assert.equal(isRefusal(refusal), true);
    assert.equal(isRefusal("failed to authorize: failed to fetch anonymous token"), true);
    assert.equal(isRefusal(`${get} dial tcp 10.96.0.7:443: i/o timeout`), false);
  });
});
