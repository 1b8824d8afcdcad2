import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  type ContractVerdict,
  contractDueInMs,
  contractEntry,
  contractKey,
  contractResult,
  formatContract,
  nextContract,
  parseContract,
} from "./contract-verdict.ts";

const node = { name: "a", uid: "1" };
const passed = { mode: "HostsToml", outcome: "passed", reason: "", message: "", key: "k", atMs: 1_000 } as const;
const failed = { ...passed, outcome: "failed", reason: "Proxy", message: "NO_PROXY" } as const;
const facts = {
  mode: "HostsToml",
  names: ["a"],
  cas: ["1", "2"],
  server: "10.0.0.1",
  loopback: "127.0.0.1:7443",
} as const;

describe("the verdict of contract checks", () => {
  test("counts checks, and those in a row that did not pass", () => {
    const first = nextContract(undefined, node, failed);
    const second = nextContract(first, node, failed);
    const third = nextContract(second, node, passed);
    assert.deepEqual(
      [first, second, third].map(({ looks, modes }) => [looks, modes.HostsToml?.failures]),
      [
        [1, 1],
        [2, 2],
        [3, 0],
      ],
    );
  });
  test("keeps what another mode found", () => {
    const verdict = nextContract(nextContract(undefined, node, failed), node, { ...passed, mode: "LoopbackProxy" });
    assert.deepEqual([verdict.modes.HostsToml?.outcome, verdict.modes.LoopbackProxy?.outcome], ["failed", "passed"]);
  });
  test("of a node that was made again starts anew", () => {
    const old = nextContract(undefined, node, failed);
    const again = { name: "a", uid: "2" };
    assert.equal(contractResult(again, "HostsToml", new Map([["a", old]])), undefined);
    assert.equal(nextContract(old, again, failed).modes.HostsToml?.failures, 1);
  });
  test("is read back as it was written, and rubbish is none", () => {
    const verdict = nextContract(undefined, node, failed);
    assert.deepEqual(parseContract(formatContract(verdict)), verdict);
    for (const text of ["", "null", "[]", "{}", '{"node":1,"modes":{}}']) assert.equal(parseContract(text), undefined);
    assert.deepEqual(parseContract('{"node":"a","modes":{"HostsToml":{"outcome":"maybe"},"X":{}}}')?.modes, {});
  });
  test("has a key that a ConfigMap takes, however long the node's name is", () => {
    for (const name of ["a", "n".repeat(253)]) assert.match(contractEntry(name), /^[-._a-zA-Z0-9]{1,253}$/);
  });
});

describe("the next contract check", () => {
  const target = { mode: "HostsToml", key: "k" } as const;
  const after = (failures: number, atMs = 1_000) =>
    Array.from({ length: failures }).reduce<ContractVerdict | undefined>(
      (verdict) => nextContract(verdict, node, { ...failed, atMs }),
      undefined,
    );

  test("is due at once for a new node, under another key, and in another mode", () => {
    const verdict = nextContract(undefined, node, passed);
    assert.equal(contractDueInMs(undefined, target, 0), 0);
    assert.equal(contractDueInMs(verdict, { ...target, key: "other" }, 0), 0);
    assert.equal(contractDueInMs(verdict, { ...target, mode: "LoopbackProxy" }, 0), 0);
    assert.equal(contractDueInMs(verdict, target, 1e15), undefined);
  });
  test("is due at once in a mode that comes back", () => {
    const elsewhere = nextContract(nextContract(undefined, node, passed), node, { ...passed, mode: "LoopbackProxy" });
    assert.equal(contractDueInMs(elsewhere, target, 0), 0);
  });
  test("comes a minute after a failure, then later each time, a quarter of an hour at most", () => {
    const due = [1, 2, 3, 5, 50].map((failures) => contractDueInMs(after(failures), target, 1_000));
    assert.deepEqual(due, [60_000, 120_000, 240_000, 900_000, 900_000]);
    assert.equal(contractDueInMs(after(1), target, 61_000), 0);
  });
  test("is not put off for ever by a clock that was turned back", () => {
    assert.equal(contractDueInMs(after(1, 1e15), target, 0), 60_000);
  });
  test("is made anew after a change of CA, name, address or mode, and not of the order of CAs", () => {
    const key = contractKey(facts);
    assert.equal(contractKey({ ...facts, cas: ["2", "1"] }), key);
    assert.equal(contractKey({ ...facts, loopback: "127.0.0.1:9" }), key);
    for (const change of [
      { cas: ["2"] },
      { names: ["b"] },
      { server: "10.0.0.2" },
      { mode: "LoopbackProxy" },
    ] as const) {
      assert.notEqual(contractKey({ ...facts, ...change }), key);
    }
  });
});
