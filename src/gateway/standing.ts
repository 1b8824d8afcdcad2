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
 * A namespace stands while it exists with that uid and is opted in, its push login while it also asks for one; a
 * ServiceAccount while its namespace exists with that uid, opted in or not; a further user while the Secret names it.
 * Answered from memory, at each request: what was opted out or re-created loses its issued tokens within seconds.
 */
export function createStanding(needs: {
  /** Metadata is enough. */
  readonly namespaces: ObservedStore<KubernetesObject>;
  readonly selection: NamespaceSelection;
  readonly users: () => RegistryUsers;
  readonly hasAdmin: () => boolean;
}): Standing {
  const live = (subject: { readonly namespace: string; readonly uid: string }): KubernetesObject | undefined => {
    const namespace = needs.namespaces.get(subject.namespace);
    return namespace?.metadata.uid === subject.uid ? namespace : undefined;
  };
  return {
    resolve(subject) {
      switch (subject.kind) {
        case "namespace": {
          const namespace = live(subject);
          return namespace !== undefined && hasLogin(namespace, subject.purpose, needs.selection) ? subject : undefined;
        }
        case "user": {
          const user = needs.users().get(subject.name);
          return user === undefined ? undefined : { ...subject, rules: user.rules };
        }
        case "serviceAccount":
          return live(subject) && subject;
        case "admin":
          return needs.hasAdmin() ? subject : undefined;
        default:
          return subject;
      }
    },
  };
}

function hasLogin(namespace: KubernetesObject, purpose: "pull" | "push", selection: NamespaceSelection): boolean {
  const { name, labels = {} } = namespace.metadata;
  return isOptedIn({ name, labels }, selection) && (purpose === "pull" || asksForPush(namespace));
}

/** By the annotation; serve pushes to the namespace of the contract check with a login that is written nowhere. */
function asksForPush({ metadata: { name, annotations = {} } }: KubernetesObject): boolean {
  return annotations[pushAnnotation] === "enabled" || name === checkNamespace;
}
