import type { KubernetesObject } from "../cluster/object.ts";
import type { ObservedStore } from "../cluster/store.ts";
import { excludedNamespaces, injectLabel } from "../config/names.ts";
import type { Identity, Subject } from "./identity.ts";
import type { RegistryUsers } from "./registry-users.ts";

/** Whether those who once logged in may still do anything at all. */
export type Standing = {
  /** The identity as it stands now, rights included; undefined when it has none any more. */
  resolve(subject: Subject): Identity | undefined;
};

/**
 * A namespace stands while it exists with that uid and is opted in; a further user while the Secret names it. Answered
 * from memory, at each request: what was opted out or re-created loses its issued tokens within seconds.
 */
export function createStanding(needs: {
  /** Metadata is enough. */
  readonly namespaces: ObservedStore<KubernetesObject>;
  readonly injectMode: "opt-in" | "opt-out";
  readonly users: () => RegistryUsers;
  readonly hasAdmin: () => boolean;
}): Standing {
  return {
    resolve(subject) {
      switch (subject.kind) {
        case "namespace": {
          const namespace = needs.namespaces.get(subject.namespace);
          const isLive = namespace?.metadata.uid === subject.uid && isOptedIn(namespace, needs.injectMode);
          return isLive ? subject : undefined;
        }
        case "user": {
          const user = needs.users().get(subject.name);
          return user === undefined ? undefined : { ...subject, rules: user.rules };
        }
        case "admin":
          return needs.hasAdmin() ? subject : undefined;
        default:
          return subject;
      }
    },
  };
}

/** Whether a namespace takes part: by its label, in opt-out mode by the absence of `disabled`; never our own. */
export function isOptedIn(namespace: KubernetesObject, mode: "opt-in" | "opt-out"): boolean {
  const { name, labels } = namespace.metadata;
  if ((excludedNamespaces as readonly string[]).includes(name)) return false;
  const label = labels?.[injectLabel];
  return mode === "opt-in" ? label === "enabled" : label !== "disabled";
}
