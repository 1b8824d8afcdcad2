import { createHash } from "node:crypto";
import type { KubernetesObject } from "../cluster/object.ts";
import { readBundle } from "../tls/certificate.ts";

/** In the pod template: what the containers read once at their start. */
const configAnnotation = "slipway.dev/config-hash";
/** In the pod template: fingerprints (SHA-256, hex) of the token CAs that the pods have read at their start. */
const tokenAuthoritiesAnnotation = "slipway.dev/token-authorities";
/** At the Deployment: hash of the template without its pin, as it was last made here. */
const templateAnnotation = "slipway.dev/template-hash";

type Labels = Readonly<Record<string, string>>;
type Template = Readonly<Record<string, unknown>>;

export type RevisionFacts = {
  readonly deployment: KubernetesObject | undefined;
  /** Labels of the nodes that reach the bound volume; empty for any node. */
  readonly volumeTopology: Labels;
  /** PEM bundle of the token CAs. */
  readonly tokenAuthority: string;
  readonly configHash: string;
};

/**
 * The pod template with the two parts that must not replace a running pod by themselves:
 *
 * * the pin to the volume's nodes: a volume that was bound after the pod had been made holds the pod where it is by its
 *   own node affinity; the pin comes with the next change of anything else, and at once where nothing runs yet.
 * * the token CAs: one that was added has to be read by Distribution, which reads its bundle once; one that was taken
 *   out harms nobody until the next start.
 *
 * @param make the template for a pin and annotations
 * @returns the template, and the annotations of its Deployment
 */
export function decideRevision(
  make: (pin: Labels, annotations: Labels) => Template,
  facts: RevisionFacts,
): { readonly template: Template; readonly annotations: Labels } {
  const running = readRunning(facts.deployment);
  const annotations = {
    [configAnnotation]: facts.configHash,
    [tokenAuthoritiesAnnotation]: tokenAuthorities(facts.tokenAuthority, running?.tokenAuthorities),
  };
  const hash = hashOf(make({}, annotations));
  const keepsPin = running !== undefined && running.templateHash === hash;
  const pin = keepsPin ? heldPin(facts.volumeTopology, running.nodeSelector) : facts.volumeTopology;
  return { template: make(pin, annotations), annotations: { [templateAnnotation]: hash } };
}

/** SHA-256, hex, of the value's JSON. */
export function hashOf(value: unknown): string {
  return createHash("sha256").update(JSON.stringify(value)).digest("hex");
}

type Running = {
  readonly templateHash: string | undefined;
  readonly tokenAuthorities: string | undefined;
  readonly nodeSelector: Labels;
};

function readRunning(deployment: KubernetesObject | undefined): Running | undefined {
  if (deployment === undefined) return undefined;
  const { template } = (deployment.spec ?? {}) as {
    template?: { metadata?: { annotations?: Labels }; spec?: { nodeSelector?: Labels } };
  };
  return {
    templateHash: deployment.metadata.annotations?.[templateAnnotation],
    tokenAuthorities: template?.metadata?.annotations?.[tokenAuthoritiesAnnotation],
    nodeSelector: template?.spec?.nodeSelector ?? {},
  };
}

/** No pin while the running template has none; one to a volume that is not ours any more follows the volume. */
function heldPin(topology: Labels, nodeSelector: Labels): Labels {
  return Object.keys(topology).some((key) => Object.hasOwn(nodeSelector, key)) ? topology : {};
}

function tokenAuthorities(bundle: string, read: string | undefined): string {
  const wanted = readBundle(bundle)
    .map((facts) => facts.fingerprint)
    .sort();
  const known = read?.split(",") ?? [];
  return read !== undefined && wanted.every((fingerprint) => known.includes(fingerprint)) ? read : wanted.join(",");
}
