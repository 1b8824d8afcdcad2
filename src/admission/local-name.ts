import { sameRegistry } from "../reference/host.ts";
import { formatSuffix, type Reference } from "../reference/reference.ts";
import { mappedPath } from "../reference/rewrite.ts";
import type { LocalRegistryNames } from "./world.ts";

/** Whether a registry is one of the names of the local registry. */
export function isLocalName(registry: LocalRegistryNames, name: string): boolean {
  for (const known of registry.names) if (sameRegistry(known, name)) return true;
  return sameRegistry(registry.target, name);
}

/**
 * A reference at the local registry under the name that nodes reach it by: in LoopbackProxy mode the loopback address
 * instead of every other name. A loopback address in another mode stays: pods keep what they were admitted with.
 *
 * @returns undefined when the reference stays as it is
 */
export function retargetText(registry: LocalRegistryNames, reference: Reference): string | undefined {
  if (!registry.retarget || sameRegistry(registry.target, reference.registry)) return undefined;
  return `${registry.target}/${reference.path}${formatSuffix(reference)}`;
}

/**
 * Whether `result` is what admission makes of `origin` for the local registry, under any of its names and in any mode:
 * the mapped path with the same tag and digest; or, where the origin names the local registry itself, the same
 * repository under the loopback address.
 */
export function makesLocally(registry: LocalRegistryNames, origin: Reference, result: Reference): boolean {
  if (origin.tag !== result.tag || origin.digest !== result.digest) return false;
  if (!isLocalName(registry, result.registry)) return false;
  if (!isLocalName(registry, origin.registry)) return mappedPath(origin, "", true) === result.path;
  const loopback = registry.loopback ?? (registry.retarget ? registry.target : undefined);
  if (loopback === undefined || origin.path !== result.path) return false;
  return sameRegistry(loopback, result.registry) && !sameRegistry(loopback, origin.registry);
}
