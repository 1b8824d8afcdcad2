/** The fixed names of Slipway: one place, so that code, manifests and tests cannot drift apart. */

export const group = "slipway.dev";
export const version = "v1alpha1";
export const fieldManager = "slipway";

export const managedByLabel = "app.kubernetes.io/managed-by";
export const managedByValue = "slipway";

/** On a namespace: `enabled` opts in. On a pod (or a namespace in opt-out mode): `disabled` opts out. */
export const injectLabel = "slipway.dev/inject";
/** On a namespace or pod: `disabled` keeps references, credentials still come. */
export const rewriteLabel = "slipway.dev/rewrite";
/** On a namespace: `enabled` asks for the push Secret. */
export const pushAnnotation = "slipway.dev/push";
/** On a namespace: names of PullCredential objects, comma separated, that narrow the list. */
export const credentialsAnnotation = "slipway.dev/credentials";
/** On a pod: information for people, never read back to decide. */
export const originalImagesAnnotation = "slipway.dev/original-images";
/** On a pull Secret: the revision of the compiled content it was written from. */
export const revisionAnnotation = "slipway.dev/revision";
/** On a pull Secret: SHA-256 of its content (hex), to compare without reading it. */
export const contentHashAnnotation = "slipway.dev/content-hash";

/** On a pull Secret: the uid of the namespace that its login is for. */
export const namespaceUidAnnotation = "slipway.dev/namespace-uid";
/** On a pull Secret: registry key → `key_name` of a Tutor dictionary, as JSON; information for people. */
export const keyNamesAnnotation = "slipway.dev/key-names";

/** On Secret `slipway-registry-keys`: any new value asks for a new key generation. */
export const rotateKeyAnnotation = "slipway.dev/rotate";
/** On Secret `slipway-registry-keys`: how far the rotation is, as JSON; written by the leader. */
export const keyRotationAnnotation = "slipway.dev/rotation";

/** On a node: put on by whoever makes it, taken off when it passes; manifests/components/node-taint. */
export const notReadyTaint = "slipway.dev/not-ready";

export const pullSecretName = "slipway-pull";
export const pushSecretName = "slipway-push";

export const systemNamespace = "slipway-system";
export const nodeNamespace = "slipway-node";
export const checkNamespace = "slipway-check";
export const checkOtherNamespace = "slipway-check-other";
/** Never mutated and never given a credential, whatever their labels say. */
export const excludedNamespaces = ["kube-system", systemNamespace, nodeNamespace] as const;

export const serveServiceName = "slipway";
export const registryServiceName = "registry";
export const registryHost = `${registryServiceName}.${systemNamespace}.svc`;
export const registryClusterHost = `${registryHost}.cluster.local`;
export const webhookConfigurationName = "slipway";
export const leaseName = "slipway";

export const serveAccount = "serve";
export const gatewayAccount = "gateway";
export const nodeAgentAccount = "node-agent";

/** Audience of the agent's projected token (TokenReview at serve). */
export const agentAudience = "slipway-agent";
/** Audience of serve's projected token for the gateway's catalogue stream. */
export const gatewayAudience = "slipway-gateway";
/** Audience of ServiceAccount tokens used as registry passwords. */
export const registryAudience = "slipway";

/** Objects in slipway-system. */
export const compiledSecretName = "slipway-compiled";
export const certificateAuthoritySecretName = "slipway-ca";
export const serveCertificateSecretName = "slipway-serve-tls";
export const registryCertificateSecretName = "slipway-registry-tls";
/** The leader's copy of the certificate that LocalRegistry `certificate.secretName` names. */
export const registryProvidedCertificateSecretName = "slipway-registry-provided-tls";
export const tokenAuthoritySecretName = "slipway-token-ca";
export const tokenSigningSecretName = "slipway-token-signing";
export const registryKeysSecretName = "slipway-registry-keys";
export const registryAdminSecretName = "slipway-registry-admin";
/** The secret that Distribution's replicas share, which signs the state of uploads. */
export const registryHttpSecretName = "slipway-registry-http";
export const registryUsersSecretName = "slipway-registry-users";
export const registryClaimName = "registry-data";
export const registryConfigName = "slipway-registry";
export const nodesConfigMapName = "slipway-nodes";
export const stateConfigMapName = "slipway-state";
/** In slipway-node: the CA by which agents trust serve. */
export const caConfigMapName = "slipway-ca";
/** In kube-public, KEP-1755. */
export const hostingConfigMapName = "local-registry-hosting";

export const servePort = 8443;
export const operationsPort = 8080;
export const gatewayPort = 5443;
export const distributionPort = 5000;
export const loopbackPort = 7443;
export const agentProbePort = 7444;

/** CNCF Distribution, which the gateway stands before; see docs/adr/0005. */
export const distributionImage = "registry:3.1.1";
