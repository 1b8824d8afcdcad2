// The usual Node way: express.json, change a copy of the pod, and compare the whole of both for the patch.
import express from "express";
import fastJsonPatch from "fast-json-patch";
import { listen } from "./listen.ts";
import { registry } from "./review.ts";

type Pod = {
  metadata: { annotations?: Record<string, string> };
  spec: { containers: { name: string; image: string }[]; imagePullSecrets?: { name: string }[] };
};

const app = express();
app.use(express.json({ limit: "8mb" }));
app.post("/mutate", (request, response) => {
  const { uid, object } = request.body.request as { uid: string; object: Pod };
  const pod = structuredClone(object);
  const containers: Record<string, string> = {};
  for (const container of pod.spec.containers) {
    if (!container.image.startsWith("docker.io/")) continue;
    containers[container.name] = container.image;
    container.image = `${registry}/${container.image}`;
  }
  const secrets = pod.spec.imagePullSecrets ?? [];
  if (!secrets.some(({ name }) => name === "slipway-pull"))
    pod.spec.imagePullSecrets = [...secrets, { name: "slipway-pull" }];
  pod.metadata.annotations = {
    ...pod.metadata.annotations,
    "slipway.dev/original-images": JSON.stringify({ containers }),
  };
  const patch = Buffer.from(JSON.stringify(fastJsonPatch.compare(object, pod))).toString("base64");
  response.json({
    apiVersion: "admission.k8s.io/v1",
    kind: "AdmissionReview",
    response: { uid, allowed: true, patchType: "JSONPatch", patch },
  });
});
listen(app);
