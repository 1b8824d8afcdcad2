import { z } from "zod";
import type { KubernetesObject } from "../cluster/object.ts";
import type { ImageRewriteSpec } from "./image-rewrite.ts";
import type { LocalRegistrySpec } from "./local-registry.ts";
import type { PullCredentialSpec } from "./pull-credential.ts";

/** A custom resource as far as it could be understood. */
export type Validated<Spec> =
  | { readonly kind: "valid"; readonly name: string; readonly generation: number; readonly spec: Spec }
  | { readonly kind: "invalid"; readonly name: string; readonly generation: number; readonly problem: string };

const labelSelector = z.object({
  matchLabels: z.record(z.string(), z.string()).optional(),
  matchExpressions: z
    .array(
      z.object({
        key: z.string(),
        operator: z.enum(["In", "NotIn", "Exists", "DoesNotExist"]),
        values: z.array(z.string()).optional(),
      }),
    )
    .optional(),
});

const nameReference = z.object({ name: z.string().min(1) });
const stringMap = z.record(z.string(), z.string());
const anyMap = z.record(z.string(), z.unknown());

const rewriteMatch = z.object({ registry: z.string().optional(), repository: z.string().optional() });

const imageRewriteSpec = z.object({
  rules: z
    .array(
      z.object({
        match: rewriteMatch.optional(),
        exclude: z.array(rewriteMatch).optional(),
        target: z.string().min(1),
        keepHost: z.boolean().optional(),
      }),
    )
    .max(256),
  when: z.enum(["IfPresent", "Always"]).optional(),
  namespaceSelector: labelSelector.optional(),
  podSelector: labelSelector.optional(),
});

const pullCredentialSpec = z.object({
  sources: z.array(
    z.object({
      secretRef: z.object({ name: z.string().min(1), key: z.string().optional() }).optional(),
      file: z.object({ path: z.string().min(1) }).optional(),
    }),
  ),
  namespaceSelector: labelSelector.optional(),
  injection: z.enum(["Always", "WhenUsed"]).optional(),
});

const storage = z.object({
  persistentVolumeClaim: z
    .object({
      size: z.string().optional(),
      storageClassNames: z.array(z.string()).optional(),
      existingClaim: z.string().optional(),
    })
    .optional(),
  s3: z
    .object({
      bucket: z.string(),
      region: z.string().optional(),
      regionEndpoint: z.string().optional(),
      rootDirectory: z.string().optional(),
      forcePathStyle: z.boolean().optional(),
      credentialsSecretRef: nameReference,
    })
    .optional(),
  ephemeral: z.record(z.string(), z.never()).optional(),
  reclaimPolicy: z.enum(["Retain", "Delete"]).optional(),
});

const localRegistrySpec = z.object({
  storage: storage.optional(),
  host: z.string().optional(),
  aliases: z.array(z.string()).optional(),
  exposure: z
    .object({
      nodePort: z.number().int().optional(),
      ingress: z
        .object({ host: z.string(), className: z.string().optional(), tlsSecretName: z.string().optional() })
        .optional(),
      extraNames: z.array(z.string()).optional(),
    })
    .optional(),
  certificate: z.object({ secretName: z.string().min(1) }).optional(),
  nodeAccess: z.enum(["Auto", "External", "HostsToml", "LoopbackProxy", "None"]).optional(),
  loopbackPort: z.number().int().optional(),
  auth: z.object({ sharedRepositories: z.array(z.string()).optional() }).optional(),
  resources: anyMap.optional(),
  nodeSelector: stringMap.optional(),
  tolerations: z.array(anyMap).optional(),
  maintenance: z.object({ readOnly: z.boolean().optional() }).optional(),
  external: z
    .object({
      url: z.url({ protocol: /^https$/ }),
      caSecretRef: nameReference.optional(),
      credentialSecretRef: nameReference.optional(),
    })
    .optional(),
});

/**
 * Narrows a custom resource from the API to its typed spec. The API server has checked the schema already; this
 * catches what an older CRD let through, so that an object that cannot be understood is a finding and no crash.
 */
export function validateImageRewrite(object: KubernetesObject): Validated<ImageRewriteSpec> {
  return validate(object, imageRewriteSpec as z.ZodType<ImageRewriteSpec>);
}

export function validatePullCredential(object: KubernetesObject): Validated<PullCredentialSpec> {
  return validate(object, pullCredentialSpec as z.ZodType<PullCredentialSpec>);
}

export function validateLocalRegistry(object: KubernetesObject): Validated<LocalRegistrySpec> {
  return validate(object, localRegistrySpec as z.ZodType<LocalRegistrySpec>);
}

function validate<Spec>(object: KubernetesObject, schema: z.ZodType<Spec>): Validated<Spec> {
  const { name, generation = 0 } = object.metadata;
  const parsed = schema.safeParse(object.spec ?? {});
  if (parsed.success) return { kind: "valid", name, generation, spec: parsed.data };
  const [issue] = parsed.error.issues;
  const problem = `spec.${issue?.path.join(".") ?? ""}: ${issue?.message ?? "cannot be read"}`;
  return { kind: "invalid", name, generation, problem };
}
