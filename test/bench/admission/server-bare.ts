// The platform's own limit: node:https that parses the body and sends a patch made beforehand.

import { listen } from "./listen.ts";
import { createReview, images, registry } from "./review.ts";

const { request } = JSON.parse(createReview(3_000)) as { request: { uid: string } };
const operations = [
  ...images(2).map((image, index) => ({
    op: "replace",
    path: `/spec/containers/${index}/image`,
    value: `${registry}/${image}`,
  })),
  { op: "add", path: "/spec/imagePullSecrets", value: [{ name: "slipway-pull" }] },
  {
    op: "add",
    path: "/metadata/annotations/slipway.dev~1original-images",
    value: JSON.stringify({
      containers: Object.fromEntries(images(2).map((image, index) => [`container-${index}`, image])),
    }),
  },
];
const patch = Buffer.from(JSON.stringify(operations)).toString("base64");
const response = { uid: request.uid, allowed: true, patchType: "JSONPatch", patch };
const answer = Buffer.from(JSON.stringify({ apiVersion: "admission.k8s.io/v1", kind: "AdmissionReview", response }));

listen((incoming, outgoing) => {
  const chunks: Buffer[] = [];
  incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
  incoming.on("end", () => {
    JSON.parse(Buffer.concat(chunks).toString("utf8"));
    outgoing.writeHead(200, { "content-type": "application/json", "content-length": answer.length }).end(answer);
  });
});
