import { createHmac, timingSafeEqual } from "node:crypto";
import type { RegistryKey } from "../config/compiled.ts";

/** Who a derived registry login belongs to. */
export type LoginSubject =
  | { readonly purpose: "pull" | "push"; readonly namespace: string; readonly uid: string }
  | { readonly purpose: "shared" };

export type Login = { readonly username: string; readonly password: string };

/**
 * The registry login of a namespace (or the shared one), derived and never stored: the same key, name and uid give
 * the same login on every replica. Namespace names are DNS labels, so the dots of the user name are unambiguous.
 */
export function deriveLogin(key: RegistryKey, subject: LoginSubject): Login {
  const parts = subject.purpose === "shared" ? ["shared"] : [subject.purpose, subject.namespace, subject.uid];
  const password = createHmac("sha256", Buffer.from(key.secret, "base64"))
    .update(JSON.stringify(parts))
    .digest("base64url");
  return { username: parts.join("."), password };
}

/**
 * @returns the subject that a user name claims, or undefined when it is none of ours. Claims nothing about the password.
 */
export function parseLoginSubject(username: string): LoginSubject | undefined {
  const parts = username.split(".");
  if (parts.length === 1 && parts[0] === "shared") return { purpose: "shared" };
  const [purpose, namespace, uid] = parts;
  if (parts.length !== 3 || namespace === undefined || uid === undefined || namespace === "" || uid === "") {
    return undefined;
  }
  return purpose === "pull" || purpose === "push" ? { purpose, namespace, uid } : undefined;
}

/** Whether `password` is what one of the accepted key generations derives for `subject`; constant time for each. */
export function loginMatches(keys: readonly RegistryKey[], subject: LoginSubject, password: string): boolean {
  const given = Buffer.from(password);
  let matches = false;
  for (const key of keys) {
    const expected = Buffer.from(deriveLogin(key, subject).password);
    if (expected.length === given.length && timingSafeEqual(expected, given)) matches = true;
  }
  return matches;
}
