import { type CompiledRules, compileRules } from "../admission/rules.ts";
import type { LocalRegistryNames } from "../admission/world.ts";
import type { KubernetesObject } from "../cluster/object.ts";
import type { ObjectKey, ObservedStore } from "../cluster/store.ts";
import type { Compiled } from "../config/compiled.ts";
import { readCompiled } from "../config/compiled-secret.ts";
import type { Log } from "../log.ts";

/** The compiled state in the form that admission uses; derived once per change, not per pod. */
export type DerivedState = {
  readonly compiled: Compiled;
  readonly rules: CompiledRules;
  readonly registry: LocalRegistryNames | undefined;
};

export type CompiledView = {
  /** undefined until a leader has compiled for the first time. */
  current(): DerivedState | undefined;
  /** The Secret as observed at this moment, which `current` may be older than. */
  secret(): KubernetesObject | undefined;
  onChange(handler: () => void): void;
};

/**
 * Follows Secret `slipway-compiled`. A Secret that was deleted or cannot be read changes nothing in memory: the last
 * good state stays in force until the leader has written it anew.
 */
export function createCompiledView(needs: {
  readonly secrets: ObservedStore<KubernetesObject>;
  readonly key: ObjectKey;
  readonly log: Log;
}): CompiledView {
  const { secrets, key, log } = needs;
  const handlers: (() => void)[] = [];
  let derived: DerivedState | undefined;
  let derivedFrom: KubernetesObject | undefined;

  function refresh(): DerivedState | undefined {
    const secret = secrets.get(key);
    if (secret === derivedFrom) return derived;
    derivedFrom = secret;
    const compiled = readCompiled(secret);
    if (compiled !== undefined) derived = deriveState(compiled);
    else if (derived !== undefined)
      log.warn({ key }, "the compiled state is gone or cannot be read; the last one stays");
    return derived;
  }

  secrets.onChange((changed) => {
    if (changed !== key) return;
    const before = derived;
    if (refresh() !== before) for (const handler of handlers) handler();
  });
  return { current: refresh, secret: () => secrets.get(key), onChange: (handler) => void handlers.push(handler) };
}

/** The form that admission uses. */
export function deriveState(compiled: Compiled): DerivedState {
  return { compiled, rules: compileRules(compiled.rewrites), registry: registryOf(compiled) };
}

function registryOf({ registry }: Compiled): LocalRegistryNames | undefined {
  if (registry === null) return undefined;
  const isLoopback = registry.mode === "LoopbackProxy";
  return {
    target: isLoopback ? registry.loopback : registry.host,
    names: [...new Set([registry.host, ...registry.names, registry.loopback])],
    retarget: isLoopback,
    chosen: registry.mode !== null,
    loopback: registry.loopback,
  };
}
