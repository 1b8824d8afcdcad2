import { ApiError, type ClusterApi } from "../cluster/api.ts";
import { resources } from "../cluster/resource.ts";
import { checkNamespace, checkOtherNamespace } from "../config/names.ts";
import { buildContractImage, pushContractImage } from "./contract-image.ts";
import { contractLabel, contractRepository, probeRepository, probeTag } from "./contract-pod.ts";
import type { ContractRegistry } from "./contract-run.ts";

/**
 * Removes pods and images that checks of another process have left, e.g. of a leader that crashed.
 *
 * @param run what this process marks its own by
 */
export async function removeLeftovers(
  needs: { readonly api: Pick<ClusterApi, "list" | "delete">; readonly run: string },
  registry: ContractRegistry,
  signal: AbortSignal,
): Promise<void> {
  const { api, run } = needs;
  for (const namespace of [checkNamespace, checkOtherNamespace]) {
    const labelSelector = `${contractLabel},${contractLabel}!=${run}`;
    for (const { metadata } of await api.list(
      resources.pods,
      { namespace, labelSelector, metadataOnly: true },
      signal,
    )) {
      await api.delete(resources.pods, { namespace, name: metadata.name }, { signal }).catch(unlessGone);
    }
  }
  const repository = contractRepository(checkNamespace);
  const left: string[] = [];
  for await (const page of registry.tags(repository, signal)) {
    left.push(...page.filter((tag) => !tag.startsWith(`${run}-`)));
  }
  for (const tag of left) {
    const found = await registry.headManifest(repository, tag, signal);
    if (found !== undefined) await registry.deleteManifest(repository, found.digest, signal);
  }
}

/** Pushes `slipway-check/probe`, the image of the agents' hourly look, where it is missing. */
export async function ensureProbeImage(registry: ContractRegistry, signal: AbortSignal): Promise<void> {
  const repository = probeRepository(checkNamespace);
  if ((await registry.headManifest(repository, probeTag, signal)) !== undefined) return;
  const image = buildContractImage("slipway-check/probe");
  await pushContractImage(registry, { image, repository, tag: probeTag }, signal);
}

function unlessGone(error: unknown): void {
  if (!(error instanceof ApiError) || error.status !== 404) throw error;
}
