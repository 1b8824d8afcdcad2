import assert from "node:assert/strict";
import fastJsonPatch from "fast-json-patch";

export const registry = "registry.slipway-system.svc";

/**
 * An AdmissionReview of a pod as an API server sends it, of about the given size: two containers with images that are
 * rewritten, the rest environment variables and managed fields.
 *
 * @param containers how many; 2 unless given
 */
export function createReview(bytes: number, containers = 2): string {
  const build = (filler: number) => JSON.stringify(review(containers, filler));
  const least = build(0).length;
  const step = build(1).length - least;
  return build(Math.max(0, Math.round((bytes - least) / step)));
}

export function images(containers: number): readonly string[] {
  return Array.from({ length: containers }, (_, index) => `docker.io/library/app-${index % 50}:1.${index % 7}`);
}

function review(count: number, filler: number): unknown {
  const names = images(count);
  const env = Array.from({ length: filler }, (_, index) => ({
    name: `SETTING_NUMBER_${String(index).padStart(5, "0")}`,
    value: `a value that some chart has put in here ${index % 10}`,
  }));
  const containers = names.map((image, index) => ({
    name: `container-${index}`,
    image,
    ports: [{ containerPort: 8080, protocol: "TCP" }],
    env: index === 0 ? env : [],
    resources: { requests: { cpu: "100m", memory: "128Mi" }, limits: { memory: "256Mi" } },
    volumeMounts: [
      { name: "kube-api-access-x2v4z", readOnly: true, mountPath: "/var/run/secrets/kubernetes.io/serviceaccount" },
    ],
    imagePullPolicy: "IfNotPresent",
  }));
  const labels = { app: "web", "pod-template-hash": "6c8b4f9d7d" };
  return {
    kind: "AdmissionReview",
    apiVersion: "admission.k8s.io/v1",
    request: {
      uid: "705ab4f5-6393-11e8-b7cc-42010a800002",
      kind: { group: "", version: "v1", kind: "Pod" },
      resource: { group: "", version: "v1", resource: "pods" },
      requestKind: { group: "", version: "v1", kind: "Pod" },
      requestResource: { group: "", version: "v1", resource: "pods" },
      namespace: "shop",
      operation: "CREATE",
      userInfo: {
        username: "system:serviceaccount:kube-system:replicaset-controller",
        groups: ["system:authenticated"],
      },
      object: {
        kind: "Pod",
        apiVersion: "v1",
        metadata: {
          generateName: "web-6c8b4f9d7d-",
          namespace: "shop",
          labels,
          annotations: { "example.com/owner": "shop" },
        },
        spec: {
          volumes: [
            {
              name: "kube-api-access-x2v4z",
              projected: { sources: [{ serviceAccountToken: { path: "token" } }], defaultMode: 420 },
            },
          ],
          containers,
          restartPolicy: "Always",
          terminationGracePeriodSeconds: 30,
          dnsPolicy: "ClusterFirst",
          serviceAccountName: "default",
          serviceAccount: "default",
          securityContext: {},
          schedulerName: "default-scheduler",
          tolerations: [
            { key: "node.kubernetes.io/not-ready", operator: "Exists", effect: "NoExecute", tolerationSeconds: 300 },
          ],
          priority: 0,
          enableServiceLinks: true,
        },
        status: {},
      },
      oldObject: null,
      dryRun: false,
      options: { kind: "CreateOptions", apiVersion: "meta.k8s.io/v1" },
    },
  };
}

type Pod = {
  readonly metadata: { readonly annotations: Readonly<Record<string, string>> };
  readonly spec: { readonly containers: readonly { image: string }[]; readonly imagePullSecrets: readonly unknown[] };
};

/** Throws unless an answer to `review` is the mutation that every server of the benchmark has to do. */
export function checkAnswer(review: string, answer: string): void {
  const { request } = JSON.parse(review) as { request: { uid: string; object: Pod } };
  const { response } = JSON.parse(answer) as { response: { uid: string; allowed: boolean; patch: string } };
  assert.deepEqual([response.uid, response.allowed], [request.uid, true]);
  const patch = JSON.parse(Buffer.from(response.patch, "base64").toString("utf8"));
  const { spec, metadata } = fastJsonPatch.applyPatch(request.object, patch, true, false).newDocument as Pod;
  const before = request.object.spec.containers.map(({ image }) => image);
  assert.deepEqual(
    spec.containers.map(({ image }) => image),
    before.map((image) => `${registry}/${image}`),
  );
  assert.deepEqual(spec.imagePullSecrets, [{ name: "slipway-pull" }]);
  const originals = JSON.parse(metadata.annotations["slipway.dev/original-images"] ?? "");
  assert.equal(Object.keys(originals.containers).length, before.length);
}
