import type { KubernetesObject } from "../cluster/object.ts";
import type { PersistentVolumeClaimStorage } from "../config/local-registry.ts";
import { managedByLabel, managedByValue, registryClaimName } from "../config/names.ts";
import type { Finding } from "./finding.ts";
import { quantityValue } from "./quantity.ts";

export type StorageClassFact = {
  readonly name: string;
  readonly isDefault: boolean;
  readonly allowsExpansion: boolean;
};

export type ClaimFacts = {
  readonly namespace: string;
  readonly storageClasses: readonly StorageClassFact[];
  /** The claim that the spec names (`existingClaim`, else `registry-data`), as found. */
  readonly claim: KubernetesObject | undefined;
};

export type ClaimDecision = {
  /** The claim that the pod mounts; undefined: nothing can be mounted yet. */
  readonly name: string | undefined;
  /** To be applied; undefined for a claim of the user's own. */
  readonly desired: KubernetesObject | undefined;
  readonly findings: readonly Finding[];
};

const defaultSize = "10Gi";

/**
 * The claim of the hosted registry. A new one takes the first StorageClass of the list that exists (the cluster's
 * default when the list is empty). One that exists keeps its class, which is immutable; its size only grows, once it
 * is bound, and only where its class allows that.
 *
 * @see https://kubernetes.io/docs/concepts/storage/persistent-volumes/#expanding-persistent-volumes-claims
 */
export function decideClaim(storage: PersistentVolumeClaimStorage, facts: ClaimFacts): ClaimDecision {
  if (storage.existingClaim !== undefined) return useExisting(storage.existingClaim, facts);
  const { claim } = facts;
  if (claim === undefined) return createClaim(storage, facts);
  const fault = claimFault(claim);
  if (fault !== undefined) return { name: registryClaimName, desired: undefined, findings: [fault] };
  if (claim.metadata.labels?.[managedByLabel] !== managedByValue) {
    const message = `PersistentVolumeClaim ${facts.namespace}/${registryClaimName} exists without our label; it is used as it is and never changed`;
    return {
      name: registryClaimName,
      desired: undefined,
      findings: [{ reason: "ForeignClaim", message, blocks: false }],
    };
  }
  return keepClaim(storage, claim, facts);
}

function useExisting(name: string, facts: ClaimFacts): ClaimDecision {
  if (facts.claim !== undefined) {
    const fault = claimFault(facts.claim);
    return { name, desired: undefined, findings: fault === undefined ? [] : [fault] };
  }
  const message = `spec.storage.persistentVolumeClaim.existingClaim: there is no PersistentVolumeClaim ${facts.namespace}/${name}; create it`;
  return { name: undefined, desired: undefined, findings: [{ reason: "ClaimNotFound", message, blocks: true }] };
}

/**
 * Why a claim that is there cannot hold the registry for long.
 *
 * @see https://kubernetes.io/docs/concepts/storage/persistent-volumes/#storage-object-in-use-protection
 */
function claimFault({ metadata, spec }: KubernetesObject): Finding | undefined {
  const address = `PersistentVolumeClaim ${metadata.namespace}/${metadata.name}`;
  const { accessModes = [], volumeMode } = (spec ?? {}) as { accessModes?: readonly string[]; volumeMode?: string };
  if (metadata.deletionTimestamp !== undefined) {
    const message = `${address} is being deleted: no new pod can mount it, and its data goes with the pod that does; copy what you need before that pod ends`;
    return { reason: "ClaimBeingDeleted", message, blocks: false };
  }
  if (volumeMode === "Block") {
    const message = `${address} has volumeMode Block; the registry needs a file system`;
    return { reason: "ClaimUnusable", message, blocks: true };
  }
  if (accessModes.length > 0 && accessModes.every((mode) => mode === "ReadOnlyMany")) {
    const message = `${address} may only be read (accessModes ReadOnlyMany); name one with ReadWriteOnce`;
    return { reason: "ClaimUnusable", message, blocks: true };
  }
  return undefined;
}

function createClaim(storage: PersistentVolumeClaimStorage, facts: ClaimFacts): ClaimDecision {
  const wanted = storage.storageClassNames ?? [];
  const existing = facts.storageClasses.map((entry) => entry.name);
  const chosen = wanted.find((name) => existing.includes(name));
  if (wanted.length > 0 && chosen === undefined) {
    const message = `spec.storage.persistentVolumeClaim.storageClassNames: none of ${wanted.join(", ")} exists; the cluster has ${existing.join(", ") || "no StorageClass"}`;
    return {
      name: undefined,
      desired: undefined,
      findings: [{ reason: "StorageClassNotFound", message, blocks: true }],
    };
  }
  const findings: Finding[] = [];
  if (chosen === undefined && !facts.storageClasses.some((entry) => entry.isDefault)) {
    const message = `the cluster has no default StorageClass, so PersistentVolumeClaim ${registryClaimName} may stay Pending; name one in spec.storage.persistentVolumeClaim.storageClassNames, or use ephemeral or s3 storage`;
    findings.push({ reason: "NoDefaultStorageClass", message, blocks: false });
  }
  return {
    name: registryClaimName,
    desired: claimObject(facts.namespace, storage.size ?? defaultSize, chosen),
    findings,
  };
}

function keepClaim(storage: PersistentVolumeClaimStorage, claim: KubernetesObject, facts: ClaimFacts): ClaimDecision {
  const spec = (claim.spec ?? {}) as { storageClassName?: string; resources?: { requests?: { storage?: string } } };
  const heldSize = spec.resources?.requests?.storage ?? defaultSize;
  const wantedSize = storage.size ?? heldSize;
  const grows = (quantityValue(wantedSize) ?? 0) > (quantityValue(heldSize) ?? 0);
  // The API server refuses it before; the class binds most claims only when their first pod comes.
  const isBound = (claim.status as { readonly phase?: unknown } | undefined)?.phase === "Bound";
  const shrinks = (quantityValue(wantedSize) ?? 0) < (quantityValue(heldSize) ?? 0);
  const held = facts.storageClasses.find((entry) => entry.name === spec.storageClassName);
  const findings: Finding[] = [];
  if (shrinks) {
    const message = `spec.storage.persistentVolumeClaim.size ${wantedSize} is less than the ${heldSize} of PersistentVolumeClaim ${registryClaimName}; claims cannot shrink, it stays as it is`;
    findings.push({ reason: "ClaimCannotShrink", message, blocks: false });
  }
  if (grows && held?.allowsExpansion !== true) {
    const message = `PersistentVolumeClaim ${registryClaimName} cannot grow from ${heldSize} to ${wantedSize}: StorageClass ${spec.storageClassName ?? "(none)"} does not say allowVolumeExpansion`;
    findings.push({ reason: "ClaimCannotGrow", message, blocks: false });
  }
  const size = grows && isBound && held?.allowsExpansion === true ? wantedSize : heldSize;
  return { name: registryClaimName, desired: claimObject(facts.namespace, size, spec.storageClassName), findings };
}

function claimObject(namespace: string, size: string, storageClassName: string | undefined): KubernetesObject {
  return {
    metadata: { name: registryClaimName, namespace, labels: { [managedByLabel]: managedByValue } },
    spec: {
      accessModes: ["ReadWriteOnce"],
      resources: { requests: { storage: size } },
      ...(storageClassName === undefined ? {} : { storageClassName }),
    },
  };
}
