export type Action = "pull" | "push" | "delete";

/** A rule of a further user (Secret `slipway-registry-users`). */
export type UserRule = { readonly repository: string; readonly actions: readonly Action[] };

/** Who asks. What it may do is decided anew at each request: access.ts. */
export type Identity =
  | {
      readonly kind: "namespace";
      readonly purpose: "pull" | "push";
      readonly namespace: string;
      readonly uid: string;
    }
  | { readonly kind: "shared" }
  | { readonly kind: "admin" }
  | { readonly kind: "user"; readonly name: string; readonly rules: readonly UserRule[] }
  | {
      readonly kind: "serviceAccount";
      readonly namespace: string;
      readonly name: string;
      /** Of the namespace. */
      readonly uid: string;
    };

/** An identity as a token names it: without the rights, which are looked up at each request. */
export type Subject = Exclude<Identity, { kind: "user" }> | { readonly kind: "user"; readonly name: string };

/** The `sub` of a token, and the name in the audit log. */
export function formatSubject(identity: Subject): string {
  switch (identity.kind) {
    case "namespace":
      return `namespace:${identity.purpose}:${identity.namespace}:${identity.uid}`;
    case "user":
      return `user:${identity.name}`;
    case "serviceAccount":
      return `serviceaccount:${identity.namespace}:${identity.name}:${identity.uid}`;
    default:
      return identity.kind;
  }
}

/** Undoes formatSubject; undefined for anything else. */
export function parseSubject(text: string): Subject | undefined {
  const [kind, first = "", second = "", third = "", ...more] = text.split(":");
  if (kind === "user") return { kind: "user", name: text.slice("user:".length) };
  if (more.length > 0) return undefined;
  if (kind === "shared" || kind === "admin") return { kind };
  if (kind === "serviceaccount") return { kind: "serviceAccount", namespace: first, name: second, uid: third };
  if (kind !== "namespace" || (first !== "pull" && first !== "push")) return undefined;
  return { kind: "namespace", purpose: first, namespace: second, uid: third };
}
