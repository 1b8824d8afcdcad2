import { type Explanation, explainPod } from "../admission/explain.ts";
import { readPod } from "../admission/pod.ts";
import type { AdmissionWorld } from "../admission/world.ts";
import { resources } from "../cluster/resource.ts";
import { pullSecretName } from "../config/names.ts";
import { parseDockerConfig } from "../credential/dockerconfig.ts";
import type { RegistryAuths } from "../credential/source.ts";
import { SlipwayError } from "../errors.ts";
import { desiredPullSecret } from "../namespace/desired.ts";
import { deriveState } from "../webhook/compiled-view.ts";
import { createWorldBuilder } from "../webhook/world.ts";
import { withData } from "./compiled.ts";
import { type ExplainFacts, secretNames } from "./facts.ts";
import { type KeyringSecret, readPullSecret, servingLogin } from "./keyring.ts";
import type { ObjectSource } from "./object-source.ts";
import type { PodSource } from "./pod-source.ts";
import { type AskRegistry, createPresenceAnswers } from "./presence.ts";

export type SourceExplanation = {
  readonly owner: string;
  readonly namespace: string;
  readonly explanation: Explanation;
  readonly hasFindings: boolean;
  /** What could not be seen, or was assumed; for people. */
  readonly notes: readonly string[];
};

/**
 * Explains one pod of an object: what the webhook would do to it, through the webhook's own code.
 *
 * @throws SlipwayError CONFIG_INVALID for an object that is no pod after all
 */
export async function explainSource(
  needs: { readonly objects: ObjectSource; readonly facts: ExplainFacts; readonly ask: AskRegistry },
  source: PodSource,
): Promise<SourceExplanation> {
  const { facts } = needs;
  const notes = [...facts.notes];
  const pod = withAccountSecrets(source.pod, facts, notes);
  const answers = createPresenceAnswers(facts.compiled, facts.namespace.name);
  const world = worldOf(facts, answers.present);
  const explain = (credential: (image: string) => string | null) => {
    const outcome = explainPod(pod, world, { optedIn: facts.optedIn, credential });
    if (outcome.kind === "explained") return outcome;
    throw new SlipwayError("CONFIG_INVALID", `${source.owner}: ${source.prefix}spec is missing or no object`);
  };
  explain(() => null);
  await answers.resolve(needs.ask);
  const { imagePullSecrets } = explain(() => null).explanation;
  const secrets = await readSecrets(needs, imagePullSecrets, notes);
  const { explanation, hasFindings } = explain((image) => servingLogin(secrets, image));
  const images = explanation.images.map((image) => ({ ...image, path: `${source.prefix}${image.path}` }));
  return {
    owner: source.owner,
    namespace: facts.namespace.name,
    explanation: { ...explanation, images },
    hasFindings,
    notes,
  };
}

function worldOf(facts: ExplainFacts, present: AdmissionWorld["present"]): AdmissionWorld {
  const state = deriveState(facts.compiled);
  const build = createWorldBuilder({
    view: { current: () => state },
    presence: () => present,
    gate: facts.gate,
    confined: { isConfined: (_namespace, account) => account === facts.account.name && facts.account.isConfined },
  });
  return { ...build(facts.namespace), secret: facts.secret };
}

/** ServiceAccount admission runs before webhooks and copies the account's list into a pod that has none. */
function withAccountSecrets(pod: PodSource["pod"], facts: ExplainFacts, notes: string[]): PodSource["pod"] {
  const { name, imagePullSecrets } = facts.account;
  const reading = readPod(pod);
  if (reading === undefined || imagePullSecrets.length === 0) return pod;
  if (secretNames(reading.spec.imagePullSecrets).length > 0) return pod;
  notes.push(`the API server copies imagePullSecrets from ServiceAccount ${name}: ${imagePullSecrets.join(", ")}`);
  return { ...pod, spec: { ...reading.spec, imagePullSecrets: imagePullSecrets.map((secret) => ({ name: secret })) } };
}

async function readSecrets(
  { objects, facts }: { readonly objects: ObjectSource; readonly facts: ExplainFacts },
  names: readonly string[],
  notes: string[],
): Promise<readonly KeyringSecret[]> {
  const secrets: KeyringSecret[] = [];
  for (const name of names) {
    const auths = ownAuths(facts, name) ?? (await readAuths(objects, facts.namespace.name, name, notes));
    if (auths !== undefined) secrets.push({ name, auths });
  }
  return secrets;
}

/** What Slipway writes into the pull Secret, whether it is there already or not. */
function ownAuths(facts: ExplainFacts, name: string): RegistryAuths | undefined {
  if (name !== pullSecretName || facts.secret.kind !== "ready") return undefined;
  const desired = desiredPullSecret(facts.compiled, facts.namespace);
  const text = desired.kind === "secret" ? desired.secret.data[".dockerconfigjson"] : undefined;
  const parsed = text === undefined ? undefined : parseDockerConfig(text, "dockerconfigjson");
  return parsed?.kind === "entries" ? parsed.entries : undefined;
}

async function readAuths(
  objects: ObjectSource,
  namespace: string,
  name: string,
  notes: string[],
): Promise<RegistryAuths | undefined> {
  const found = await objects.get(resources.secrets, { namespace, name });
  const auths = found.kind === "found" ? readPullSecret(withData(found.object)) : undefined;
  if (auths === undefined) {
    const why =
      found.kind === "hidden"
        ? `cannot be read (${found.reason})`
        : found.kind === "absent"
          ? "is not there"
          : "holds no docker config";
    notes.push(`Secret ${namespace}/${name} ${why}: its logins are not taken into account`);
  }
  return auths;
}
