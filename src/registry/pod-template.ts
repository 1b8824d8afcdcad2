import type { LocalRegistrySpec, S3Storage } from "../config/local-registry.ts";
import {
  gatewayAccount,
  gatewayPort,
  notReadyTaint,
  registryConfigName,
  registryHttpSecretName,
} from "../config/names.ts";
import type { NamespaceSelection } from "../namespace/selection.ts";

/** By these the Deployment, the Service and the disruption budget find the pods. Immutable in a Deployment. */
export const selectorLabels = { "app.kubernetes.io/name": "slipway", "app.kubernetes.io/component": "registry" };

/** Plain port of the gateway's probes and metrics; never in the Service. */
export const gatewayOperationsPort = 8081;

/**
 * Buffers of bodies become garbage at the rate of the network, and V8 looks for it when the part of its heap for young
 * objects is full: at its usual 16 MiB ten pushes at once take 90 MiB more, and nothing is gained (docs/benchmarks.md).
 *
 * @see https://nodejs.org/docs/latest-v24.x/api/cli.html#--max-semi-space-sizesize-in-mib
 */
export const gatewayNodeOptions = "--max-semi-space-size=1";

/** Where Distribution keeps its content and reads its configuration. */
export const dataDirectory = "/var/lib/registry";
export const configDirectory = "/etc/distribution";

const tokenDirectory = "/var/run/secrets/kubernetes.io/serviceaccount";
const s3CaDirectory = "/etc/slipway/s3";
/** No name in the image is needed, and every file of the volume belongs to it through fsGroup. */
const userId = 65532;
const terminationGraceSeconds = 30;
/** The gateway's own default, where it does not stand alone. */
const gatewayLingerSeconds = 5;

/** Of manifests/base; the webhook's replicas and the node agents have it, too. */
const priorityClassName = "slipway";

type PodFacts = {
  /** As serve has it: which namespaces have a login. */
  readonly selection: NamespaceSelection;
  readonly images: { readonly slipway: string; readonly registry: string };
  readonly s3Credentials: { readonly hasCa: boolean } | undefined;
};

type PodNeeds = {
  readonly claimName: string | undefined;
  /** Labels of the nodes that the pod is pinned to; see revision.ts. */
  readonly pin: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
};

/**
 * The pod of the registry: the gateway in front, CNCF Distribution on 127.0.0.1:5000 behind it. Fits the restricted
 * Pod Security Standard. Only the gateway gets the ServiceAccount's token.
 *
 * Distribution has no probe of its own: nothing but the pod itself reaches it. Where it ends the gateway answers 502
 * until kubelet has started it again, and the gateway's own streams go on.
 *
 * @see https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
 */
export function podTemplate(
  spec: LocalRegistrySpec,
  facts: PodFacts,
  needs: PodNeeds,
): Readonly<Record<string, unknown>> {
  const s3 = spec.storage?.s3;
  const withCa = s3 !== undefined && facts.s3Credentials?.hasCa === true;
  return {
    metadata: {
      labels: selectorLabels,
      annotations: { ...needs.annotations, "kubectl.kubernetes.io/default-container": "gateway" },
    },
    spec: {
      priorityClassName,
      serviceAccountName: gatewayAccount,
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      terminationGracePeriodSeconds: terminationGraceSeconds,
      securityContext: {
        runAsNonRoot: true,
        runAsUser: userId,
        runAsGroup: userId,
        fsGroup: userId,
        fsGroupChangePolicy: "OnRootMismatch",
        seccompProfile: { type: "RuntimeDefault" },
      },
      ...placement(spec, needs.pin),
      containers: [gatewayContainer(facts, s3 === undefined), registryContainer(spec, facts.images.registry, withCa)],
      volumes: [
        { name: "config", configMap: { name: registryConfigName } },
        tokenVolume,
        ...(s3 === undefined ? [dataVolume(needs.claimName)] : []),
        ...(withCa ? [caVolume(s3)] : []),
      ],
    },
  };
}

function placement(spec: LocalRegistrySpec, pin: PodNeeds["pin"]): Readonly<Record<string, unknown>> {
  const nodeSelector = { ...pin, ...spec.nodeSelector };
  return {
    ...(Object.keys(nodeSelector).length === 0 ? {} : { nodeSelector }),
    tolerations: [startUpTaint, ...(spec.tolerations ?? [])],
    ...(spec.storage?.s3 === undefined ? {} : { affinity: { podAntiAffinity: apart } }),
  };
}

/** No node can lose its start-up taint (manifests/components/node-taint) before the registry runs somewhere. */
const startUpTaint = { key: notReadyTaint, operator: "Exists", effect: "NoSchedule" };

const apart = {
  preferredDuringSchedulingIgnoredDuringExecution: [
    {
      weight: 100,
      podAffinityTerm: { labelSelector: { matchLabels: selectorLabels }, topologyKey: "kubernetes.io/hostname" },
    },
  ],
};

const containerSecurity = {
  allowPrivilegeEscalation: false,
  readOnlyRootFilesystem: true,
  capabilities: { drop: ["ALL"] },
};

/**
 * @param onVolume the storage is a volume, which the gateway measures. Then no other pod takes over: the sooner it ends,
 *   the shorter the gap. A transfer that would hold up the next pod is cut after a second, and its client begins again.
 *   For two seconds new connections are refused: kube-proxy sends them to a pod that is ending for as long as no other
 *   is ready and this one's last probe was good, and what it sends to a network that is gone is lost for good.
 */
function gatewayContainer({ images, selection }: PodFacts, onVolume: boolean): Readonly<Record<string, unknown>> {
  const probe = (path: string) => ({ httpGet: { path, port: "operations" } });
  return {
    name: "gateway",
    image: images.slipway,
    args: [
      "gateway",
      ...(onVolume ? ["--linger", "0", "--grace", "1", "--refuse", "2", "--store-directory", dataDirectory] : []),
      ...(selection.mode === "OptOut" ? ["--inject-mode", "opt-out"] : []),
      ...(selection.excluded.length > 0 ? ["--exclude-namespaces", selection.excluded.join(",")] : []),
    ],
    env: [{ name: "NODE_OPTIONS", value: gatewayNodeOptions }],
    ports: [
      { name: "registry", containerPort: gatewayPort, protocol: "TCP" },
      { name: "operations", containerPort: gatewayOperationsPort, protocol: "TCP" },
    ],
    readinessProbe: { ...probe("/readyz"), periodSeconds: 1, timeoutSeconds: 3, failureThreshold: 1 },
    livenessProbe: { ...probe("/livez"), periodSeconds: 10, timeoutSeconds: 5, failureThreshold: 3 },
    resources: { requests: { cpu: "50m", memory: "64Mi" }, limits: { memory: "256Mi" } },
    securityContext: containerSecurity,
    volumeMounts: [
      { name: "token", mountPath: tokenDirectory, readOnly: true },
      ...(onVolume ? [{ name: "data", mountPath: dataDirectory, readOnly: true }] : []),
    ],
  };
}

function registryContainer(spec: LocalRegistrySpec, image: string, withCa: boolean): Readonly<Record<string, unknown>> {
  const s3 = spec.storage?.s3;
  return {
    name: "registry",
    image,
    // The path is given in full: 2.x and 3.x look in different places and take a missing file for the stock one.
    args: ["serve", `${configDirectory}/config.yml`],
    env: [
      { name: "OTEL_TRACES_EXPORTER", value: "none" },
      fromSecret("REGISTRY_HTTP_SECRET", registryHttpSecretName, "secret"),
      ...(s3 === undefined
        ? []
        : [
            fromSecret("REGISTRY_STORAGE_S3_ACCESSKEY", s3.credentialsSecretRef.name, "accessKey"),
            fromSecret("REGISTRY_STORAGE_S3_SECRETKEY", s3.credentialsSecretRef.name, "secretKey"),
          ]),
      // A folder of certificates is added to the system's own; SSL_CERT_FILE would replace them.
      ...(withCa ? [{ name: "SSL_CERT_DIR", value: s3CaDirectory }] : []),
    ],
    // Another pod takes over by and by, and the gateway goes on answering meanwhile: it needs what it stands before.
    ...(s3 === undefined ? {} : { lifecycle: { preStop: { sleep: { seconds: gatewayLingerSeconds + 1 } } } }),
    resources: spec.resources ?? defaultResources(s3 !== undefined),
    securityContext: containerSecurity,
    volumeMounts: [
      { name: "config", mountPath: configDirectory, readOnly: true },
      ...(s3 === undefined ? [{ name: "data", mountPath: dataDirectory }] : []),
      ...(withCa ? [{ name: "s3-ca", mountPath: s3CaDirectory, readOnly: true }] : []),
    ],
  };
}

/** Uploads to S3 are buffered in parts: 300 MiB fail builds. */
function defaultResources(isS3: boolean): Readonly<Record<string, unknown>> {
  return { requests: { cpu: "50m", memory: "64Mi" }, limits: { memory: isS3 ? "1Gi" : "256Mi" } };
}

function fromSecret(name: string, secret: string, key: string): Readonly<Record<string, unknown>> {
  return { name, valueFrom: { secretKeyRef: { name: secret, key } } };
}

function dataVolume(claimName: string | undefined): Readonly<Record<string, unknown>> {
  return claimName === undefined
    ? { name: "data", emptyDir: {} }
    : { name: "data", persistentVolumeClaim: { claimName } };
}

function caVolume(s3: S3Storage): Readonly<Record<string, unknown>> {
  const items = [{ key: "ca.crt", path: "ca.crt" }];
  return { name: "s3-ca", secret: { secretName: s3.credentialsSecretRef.name, items } };
}

/** What automounting would give, for one container only. */
const tokenVolume = {
  name: "token",
  projected: {
    sources: [
      { serviceAccountToken: { path: "token", expirationSeconds: 3607 } },
      { configMap: { name: "kube-root-ca.crt", items: [{ key: "ca.crt", path: "ca.crt" }] } },
      {
        downwardAPI: {
          items: [{ path: "namespace", fieldRef: { apiVersion: "v1", fieldPath: "metadata.namespace" } }],
        },
      },
    ],
  },
};
