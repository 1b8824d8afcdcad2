import type { KubernetesObject } from "../cluster/object.ts";
import type { ObservedStore } from "../cluster/store.ts";
import { checkNamespace, pushAnnotation } from "../config/names.ts";
import { isOptedIn, type NamespaceSelection } from "../namespace/selection.ts";
import type { Identity, Subject } from "./identity.ts";
import type { RegistryUsers } from "./registry-users.ts";

/** Whether those who once logged in may still do anything at all. */
export type Standing = {
  /** The identity as it stands now, rights included; undefined when it has none any more. */
  resolve(subject: Subject): Identity | undefined;
};

/**
 * A namespace stands while it exists with that uid and is opted in, its push login while it also asks for one; a further
 * user while the Secret names it. Answered from memory, at each request: what was opted out or re-created loses its
 * issued tokens within seconds.
 */
export function createStanding(needs: {
  /** Metadata is enough. */
  readonly namespaces: ObservedStore<KubernetesObject>;
  readonly selection: NamespaceSelection;
  readonly users: () => RegistryUsers;
  readonly hasAdmin: () => boolean;
}): Standing {
  return {
    resolve(subject) {
      switch (subject.kind) {
        case "namespace": {
          const namespace = needs.namespaces.get(subject.namespace);
          const isLive = namespace?.metadata.uid === subject.uid && isServed(namespace, needs.selection);
          return isLive && (subject.purpose === "pull" || asksForPush(namespace)) ? subject : undefined;
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

function isServed({ metadata: { name, labels = {} } }: KubernetesObject, selection: NamespaceSelection): boolean {
  return isOptedIn({ name, labels }, selection);
}

/** By the annotation; serve pushes to the namespace of the contract check with a login that is written nowhere. */
function asksForPush({ metadata: { name, annotations = {} } }: KubernetesObject): boolean {
  return annotations[pushAnnotation] === "enabled" || name === checkNamespace;
}
