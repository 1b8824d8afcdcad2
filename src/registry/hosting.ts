import type { KubernetesObject } from "../cluster/object.ts";
import { type Resource, resources } from "../cluster/resource.ts";
import type { LocalRegistrySpec } from "../config/local-registry.ts";
import { managedByLabel, managedByValue, registryConfigName, registryServiceName } from "../config/names.ts";
import { distributionConfig } from "../gateway/distribution-config.ts";
import type { NamespaceSelection } from "../namespace/selection.ts";
import { type ClaimFacts, decideClaim } from "./claim.ts";
import { type ExposureFacts, exposureObjects, registryService } from "./exposure.ts";
import type { Finding } from "./finding.ts";
import { configDirectory, dataDirectory, podTemplate, selectorLabels } from "./pod-template.ts";
import { decideRevision, hashOf } from "./revision.ts";

export type HostingFacts = ClaimFacts &
  ExposureFacts & {
    /** As serve has it; the gateway follows. */
    readonly selection: NamespaceSelection;
    /** Container images: our own, and CNCF Distribution's. */
    readonly images: { readonly slipway: string; readonly registry: string };
    /** PEM bundle by which Distribution trusts tokens; undefined while it does not exist. */
    readonly tokenAuthority: string | undefined;
    /** Whether the gateway's certificate has been issued: a pod that starts before only waits for it. */
    readonly hasCertificate: boolean;
    /** Deployment `registry` as it stands; undefined: nothing runs yet. */
    readonly deployment: KubernetesObject | undefined;
    /** Labels that a node must have to reach the bound volume, by the volume's node affinity; empty for any node. */
    readonly volumeTopology: Readonly<Record<string, string>>;
    /** Of everything that containers read by environment variables; changes roll the pod. */
    readonly secretsHash: string;
    /** The Secret of `storage.s3.credentialsSecretRef`; undefined when it is absent. */
    readonly s3Credentials: { readonly hasCa: boolean } | undefined;
  };

export type DesiredObject = { readonly resource: Resource; readonly object: KubernetesObject };

export type HostingDecision = {
  /** In the order in which they are to be applied. */
  readonly objects: readonly DesiredObject[];
  readonly findings: readonly Finding[];
};

const s3Replicas = 2;

/**
 * Every object of the hosted registry except its Secrets, from LocalRegistry's spec and what was found. Pure: the
 * same input gives the same objects, so that an unchanged registry is never written.
 *
 * The Service comes even where a finding blocks the rest: its ClusterIP and names do not depend on storage.
 */
export function decideHosting(spec: LocalRegistrySpec, facts: HostingFacts): HostingDecision {
  const service = { resource: resources.services, object: registryService(spec, facts) };
  const storage = decideStorage(spec, facts);
  const about = "storage" as const;
  const findings: Finding[] = [
    ...storage.findings.map((finding) => ({ ...finding, about })),
    ...placementFindings(spec, facts),
  ];
  if (facts.tokenAuthority === undefined) {
    const message = "the token CA is not there yet; it is made by the leader at its start";
    findings.push({ reason: "TokenAuthorityMissing", message, blocks: true });
  }
  if (!facts.hasCertificate && facts.deployment === undefined) {
    const message =
      "the registry's certificate is not issued yet; the leader issues it when Service registry has an address";
    findings.push({ reason: "CertificateMissing", message, blocks: true });
  }
  const claims =
    storage.claim === undefined ? [] : [{ resource: resources.persistentVolumeClaims, object: storage.claim }];
  if (findings.some((finding) => finding.blocks) || facts.tokenAuthority === undefined) {
    return { objects: [...claims, service], findings };
  }
  const config = configMap(spec, facts, facts.tokenAuthority);
  const replicas = replicasFor(spec, facts.deployment);
  const deployment = {
    resource: resources.deployments,
    object: deploymentObject(spec, facts, {
      replicas,
      claimName: storage.claimName,
      tokenAuthority: facts.tokenAuthority,
      configHash: hashOf([(config.data as Record<string, string>)["config.yml"], facts.secretsHash]),
    }),
  };
  return {
    objects: [
      ...claims,
      { resource: resources.configMaps, object: config },
      service,
      deployment,
      ...disruptionBudget(facts, replicas),
      ...exposureObjects(spec, facts),
    ],
    findings,
  };
}

type StorageDecision = {
  readonly claim?: KubernetesObject | undefined;
  readonly claimName?: string | undefined;
  readonly findings: readonly Finding[];
};

function decideStorage(spec: LocalRegistrySpec, facts: HostingFacts): StorageDecision {
  const { s3, ephemeral, persistentVolumeClaim } = spec.storage ?? {};
  if (s3 !== undefined) {
    if (facts.s3Credentials !== undefined) return { findings: [] };
    const message = `spec.storage.s3.credentialsSecretRef: there is no Secret ${facts.namespace}/${s3.credentialsSecretRef.name} with accessKey and secretKey; create it`;
    return { findings: [{ reason: "S3CredentialsNotFound", message, blocks: true }] };
  }
  if (ephemeral !== undefined) return { findings: [] };
  const { name, desired, findings } = decideClaim(persistentVolumeClaim ?? {}, facts);
  return { claim: desired, claimName: name, findings };
}

/** The volume's node and the user's nodeSelector must agree, else the pod stays Pending for ever. */
function placementFindings(spec: LocalRegistrySpec, facts: HostingFacts): Finding[] {
  return Object.entries(facts.volumeTopology)
    .filter(([key, value]) => spec.nodeSelector?.[key] !== undefined && spec.nodeSelector[key] !== value)
    .map(([key, value]) => ({
      reason: "VolumeElsewhere",
      message: `spec.nodeSelector asks for ${key}=${spec.nodeSelector?.[key]}, but the registry's volume is bound to nodes with ${key}=${value}; remove it from the selector, or move the data to a new claim`,
      blocks: false,
    }));
}

function configMap(spec: LocalRegistrySpec, facts: HostingFacts, tokenAuthority: string): KubernetesObject {
  const { s3 } = spec.storage ?? {};
  const config = distributionConfig({
    storage:
      s3 === undefined
        ? { kind: "filesystem", rootDirectory: dataDirectory }
        : {
            kind: "s3",
            bucket: s3.bucket,
            region: s3.region ?? "us-east-1",
            regionEndpoint: s3.regionEndpoint,
            rootDirectory: s3.rootDirectory,
            forcePathStyle: s3.forcePathStyle,
          },
    tokenAuthorityPath: `${configDirectory}/token-ca.crt`,
  });
  return {
    metadata: { name: registryConfigName, namespace: facts.namespace, labels: { [managedByLabel]: managedByValue } },
    data: { "config.yml": config, "token-ca.crt": tokenAuthority },
  };
}

/** More than two, by hand or by an autoscaler, stay: nothing is gained by taking them back. */
function replicasFor(spec: LocalRegistrySpec, deployment: KubernetesObject | undefined): number {
  if (spec.storage?.s3 === undefined) return 1;
  const { replicas } = (deployment?.spec ?? {}) as { readonly replicas?: number };
  return Math.max(s3Replicas, replicas ?? 0);
}

type PodWishes = {
  readonly replicas: number;
  readonly claimName: string | undefined;
  readonly tokenAuthority: string;
  readonly configHash: string;
};

function deploymentObject(spec: LocalRegistrySpec, facts: HostingFacts, pod: PodWishes): KubernetesObject {
  const isShared = spec.storage?.s3 !== undefined;
  const revised = decideRevision(
    (pin, annotations) => podTemplate(spec, facts, { claimName: pod.claimName, pin, annotations }),
    {
      deployment: facts.deployment,
      volumeTopology: facts.volumeTopology,
      tokenAuthority: pod.tokenAuthority,
      configHash: pod.configHash,
    },
  );
  return {
    metadata: {
      name: registryServiceName,
      namespace: facts.namespace,
      labels: { ...selectorLabels, [managedByLabel]: managedByValue },
      annotations: revised.annotations,
    },
    spec: {
      replicas: pod.replicas,
      revisionHistoryLimit: 2,
      // Two pods on one volume lock each other out. null takes out what the API server has filled in before.
      strategy: isShared
        ? { type: "RollingUpdate", rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } }
        : { type: "Recreate", rollingUpdate: null },
      selector: { matchLabels: selectorLabels },
      template: revised.template,
    },
  };
}

function disruptionBudget(facts: HostingFacts, replicas: number): readonly DesiredObject[] {
  if (replicas < 2) return [];
  const object = {
    metadata: { name: registryServiceName, namespace: facts.namespace, labels: { [managedByLabel]: managedByValue } },
    spec: { maxUnavailable: 1, selector: { matchLabels: selectorLabels }, unhealthyPodEvictionPolicy: "AlwaysAllow" },
  };
  return [{ resource: resources.podDisruptionBudgets, object }];
}
