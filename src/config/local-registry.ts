import type { Condition } from "./condition.ts";

export type NodeAccessMode = "External" | "HostsToml" | "LoopbackProxy" | "None";

export type PersistentVolumeClaimStorage = {
  /** A Kubernetes quantity; 10Gi unless given. */
  readonly size?: string;
  /** In order of preference: the first that exists is used; none given, the cluster's default. */
  readonly storageClassNames?: readonly string[];
  readonly existingClaim?: string;
};

export type S3Storage = {
  readonly bucket: string;
  readonly region?: string;
  readonly regionEndpoint?: string;
  readonly rootDirectory?: string;
  readonly forcePathStyle?: boolean;
  /** A Secret in slipway-system with `accessKey` and `secretKey`; optional `ca.crt`. */
  readonly credentialsSecretRef: { readonly name: string };
};

export type RegistryStorage = {
  readonly persistentVolumeClaim?: PersistentVolumeClaimStorage;
  readonly s3?: S3Storage;
  readonly ephemeral?: Record<string, never>;
  readonly reclaimPolicy?: "Retain" | "Delete";
};

export type LocalRegistrySpec = {
  readonly storage?: RegistryStorage;
  /** The name in rewritten references; `registry.slipway-system.svc` when hosting, the host of `external.url` else. */
  readonly host?: string;
  readonly aliases?: readonly string[];
  readonly exposure?: {
    readonly nodePort?: number;
    readonly ingress?: { readonly host: string; readonly className?: string; readonly tlsSecretName?: string };
    readonly extraNames?: readonly string[];
  };
  /**
   * A certificate of the user's own: a Secret of type `kubernetes.io/tls` in slipway-system. Clients that ask for one of
   * its names are given it; everything else is given the one of Slipway's CA.
   */
  readonly certificate?: { readonly secretName: string };
  readonly nodeAccess?: "Auto" | NodeAccessMode;
  readonly loopbackPort?: number;
  readonly auth?: { readonly sharedRepositories?: readonly string[] };
  /** Of the container `registry` (Distribution); the gateway has its own defaults. */
  readonly resources?: Readonly<Record<string, unknown>>;
  readonly nodeSelector?: Readonly<Record<string, string>>;
  readonly tolerations?: readonly Readonly<Record<string, unknown>>[];
  readonly maintenance?: { readonly readOnly?: boolean };
  readonly external?: {
    readonly url: string;
    /** A Secret in slipway-system with `ca.crt`. */
    readonly caSecretRef?: { readonly name: string };
    /** A `kubernetes.io/basic-auth` Secret in slipway-system; absent: a Slipway gateway stands behind `url`. */
    readonly credentialSecretRef?: { readonly name: string };
  };
};

export type LocalRegistryStatus = {
  readonly observedGeneration?: number;
  readonly conditions?: readonly Condition[];
  /** As KEP-1755 names them. */
  readonly endpoints?: {
    readonly host?: string;
    readonly hostFromContainerRuntime?: string;
    readonly hostFromClusterNetwork?: string;
  };
  readonly nodes?: {
    readonly mode?: NodeAccessMode;
    readonly ready: number;
    readonly total: number;
    /** "N/M", for the printer column. */
    readonly summary: string;
    readonly failing?: readonly { readonly name: string; readonly reason: string }[];
  };
  /** Sizes of all files on the registry's volume; absent while unknown, on S3, and with `external`. */
  readonly bytesUsed?: number;
};

export const defaultSharedRepositories: readonly string[] = ["docker.io/library/**"];
