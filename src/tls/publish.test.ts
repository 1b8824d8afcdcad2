import assert from "node:assert/strict";
import { test } from "node:test";
import { ApiError } from "../cluster/api.ts";
import type { KubernetesObject } from "../cluster/object.ts";
import { createBundlePublisher } from "./publish.ts";

const signal = new AbortController().signal;
const refused = new ApiError({ status: 403, reason: "Forbidden", message: "the namespace is being terminated" });

test("a ConfigMap that is refused keeps the bundle from no webhook, and is told", async () => {
  const patches: unknown[] = [];
  const webhooks = [{ name: "a", clientConfig: { url: "https://slipway.example.com" } }];
  const configuration: KubernetesObject = { metadata: { name: "slipway", resourceVersion: "7" }, webhooks };
  const publisher = createBundlePublisher({
    api: {
      async get(resource) {
        if (resource.kind === "MutatingWebhookConfiguration") return configuration;
        throw new ApiError({ status: 404, reason: "NotFound", message: "" });
      },
      async apply() {
        throw refused;
      },
      async merge(_resource, _address, patch) {
        patches.push(patch);
        return configuration;
      },
    },
  });
  await assert.rejects(publisher.publish("pem", signal), refused);
  const caBundle = Buffer.from("pem").toString("base64");
  const clientConfig = { url: "https://slipway.example.com", caBundle };
  assert.deepEqual(patches, [{ metadata: { resourceVersion: "7" }, webhooks: [{ name: "a", clientConfig }] }]);
});
