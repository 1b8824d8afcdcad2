import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { RegistryError } from "../registry/registry-error.ts";
import { explainPush, tryPush } from "./contract-push.ts";
import type { ContractRegistry } from "./contract-run.ts";

const image = "registry.example.com/team-a/contract";
const silent = (code: string) =>
  new RegistryError({ status: 0, code, message: "no answer", cause: Object.assign(new Error(code), { code }) });
const answered = (status: number, code: string) => new RegistryError({ status, code, message: `${status}` });

describe("a push that failed tells what to do", () => {
  const cases = [
    { name: "a name that pods do not resolve", error: silent("ENOTFOUND"), reason: "NameUnknown", says: /DNS/ },
    { name: "a DNS server that is away", error: silent("EAI_AGAIN"), reason: "NameLookupFailed", says: /DNS/ },
    {
      name: "a certificate of a CA that is not given",
      error: silent("SELF_SIGNED_CERT_IN_CHAIN"),
      reason: "WrongCertificate",
      says: /ca\.crt/,
    },
    { name: "no TLS", error: silent("EPROTO"), reason: "NotARegistry", says: /--plain-http/ },
    { name: "nothing there", error: silent("ECONNREFUSED"), reason: "Unreachable", says: /network policies/ },
    { name: "a refused login", error: answered(401, "UNAUTHORIZED"), reason: "LoginRefused", says: /may push/ },
    { name: "a login without the right", error: answered(403, "DENIED"), reason: "LoginRefused", says: /team-a/ },
    { name: "a registry in its read-only mode", error: answered(405, "UNSUPPORTED"), reason: "ReadOnly", says: /405/ },
    { name: "a registry that fails", error: answered(503, "UNAVAILABLE"), reason: "Unavailable", says: /503/ },
    { name: "something else", error: answered(404, "NAME_UNKNOWN"), reason: "NotARegistry", says: /registry/ },
  ];
  for (const { name, error, reason, says } of cases) {
    test(name, () => {
      const failure = explainPush(error, image);
      assert.equal(failure.reason, reason);
      assert.match(failure.message, says);
    });
  }
});

describe("the push", () => {
  function registryThat(faults: { readonly onPut?: RegistryError; readonly onDelete?: RegistryError }) {
    const done: string[] = [];
    const registry: ContractRegistry & { readonly origin: URL } = {
      origin: new URL("https://registry.example.com"),
      uploadBlob: async () => void done.push("blob"),
      putManifest: async (repository, tag) => {
        if (faults.onPut !== undefined) throw faults.onPut;
        done.push(`${repository}:${tag}`);
      },
      deleteManifest: async () => {
        if (faults.onDelete !== undefined) throw faults.onDelete;
        done.push("deleted");
        return true;
      },
      headManifest: async () => undefined,
      async *tags() {},
    };
    return { registry, done };
  }
  const place = { repository: "team-a/contract", tag: "abc" };
  const signal = new AbortController().signal;

  test("that went through leaves nothing", async () => {
    const { registry, done } = registryThat({});
    assert.equal(await tryPush(registry, place, signal), undefined);
    assert.deepEqual(done, ["blob", "blob", "team-a/contract:abc", "deleted"]);
  });

  test("counts where the registry deletes nothing, too", async () => {
    const { registry } = registryThat({ onDelete: answered(405, "UNSUPPORTED") });
    assert.equal(await tryPush(registry, place, signal), undefined);
  });

  test("that was refused says so", async () => {
    const { registry } = registryThat({ onPut: answered(403, "DENIED") });
    assert.equal((await tryPush(registry, place, signal))?.reason, "LoginRefused");
  });
});
