/** A Pod as JSON with login and CA of the push Secret at `/registry`, as the docs' build pod has them; it runs once. */
export function buildPodManifest(wish: {
  readonly name: string;
  readonly namespace: string;
  readonly image: string;
  /** Instead of the image's entry point. */
  readonly command?: readonly string[];
  readonly args?: readonly string[];
}): string {
  const { name, namespace, ...container } = wish;
  const items = [
    { key: ".dockerconfigjson", path: "config.json" },
    { key: "ca.crt", path: "ca.crt" },
  ];
  const volumeMounts = [{ name: "registry", mountPath: "/registry", readOnly: true }];
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace },
    spec: {
      restartPolicy: "Never",
      terminationGracePeriodSeconds: 0,
      containers: [{ name: "build", ...container, volumeMounts }],
      volumes: [{ name: "registry", secret: { secretName: "slipway-push", items } }],
    },
  });
}

/** What skopeo is called with in such a pod to push its OCI layout `/image`; the destination follows. */
export const skopeoCopy = ["copy", "--dest-cert-dir=/registry", "--authfile=/registry/config.json", "oci:/image"];
