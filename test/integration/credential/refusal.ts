import type { ApiTransport, ClusterApi } from "../../../src/cluster/api.ts";
import { resources } from "../../../src/cluster/resource.ts";
import { waitMs } from "./cluster.ts";
import { within } from "./leader.ts";

type Hands = { readonly api: ClusterApi; readonly transport: ApiTransport };

const signal = AbortSignal.timeout(900_000);
const policies = "/apis/admissionregistration.k8s.io/v1";

/** A policy of somebody else, by whose name no Secret of a namespace can be written; returns when it is in force. */
export async function refuseSecrets(hands: Hands, name: string, namespace: string): Promise<void> {
  const create = (kind: string, plural: string, spec: unknown) =>
    hands.transport.json({
      method: "POST",
      path: `${policies}/${plural}`,
      body: { apiVersion: "admissionregistration.k8s.io/v1", kind, metadata: { name }, spec },
      signal,
    });
  await create("ValidatingAdmissionPolicy", "validatingadmissionpolicies", {
    matchConstraints: {
      resourceRules: [
        { apiGroups: [""], apiVersions: ["v1"], operations: ["CREATE", "UPDATE"], resources: ["secrets"] },
      ],
    },
    validations: [{ expression: `object.metadata.namespace != '${namespace}'`, message: "no Secrets here" }],
  });
  await create("ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings", {
    policyName: name,
    validationActions: ["Deny"],
  });
  await secretsAreRefused(hands, namespace);
}

/** Takes the policy out of force. */
export async function allowSecrets({ transport }: Hands, name: string): Promise<void> {
  await transport.json({ method: "DELETE", path: `${policies}/validatingadmissionpolicybindings/${name}`, signal });
}

/** What refuses Secrets is in force a moment after it was written. */
export async function secretsAreRefused({ api }: Hands, namespace: string): Promise<void> {
  const probe = { metadata: { name: "probe", namespace }, type: "Opaque" };
  await within(waitMs, `Secrets are refused in ${namespace}`, () =>
    api.create(resources.secrets, probe, { dryRun: true, signal }).then(
      () => undefined,
      () => true,
    ),
  );
}
