import { checkLogin, collectEntries, type ParsedConfig } from "./dockerconfig.ts";

/**
 * Reads a `kubernetes.io/basic-auth` Secret that says in a further key `registry` which registry its login is for;
 * `email` is kept when there is one.
 *
 * @param data decoded values of the Secret
 * @see https://kubernetes.io/docs/concepts/configuration/secret/#basic-authentication-secret
 */
export function parseBasicAuth(data: Readonly<Record<string, string>>): ParsedConfig {
  const { registry = "", username = "", password = "", email = "" } = data;
  if (registry.trim() === "") {
    return { kind: "unreadable", message: "names no registry; add a key registry with host[:port][/path]" };
  }
  const checked = checkLogin({ username: withoutLineEnd(username), password: withoutLineEnd(password) });
  const result =
    checked.kind === "login" && email.trim() !== ""
      ? { kind: "login" as const, auth: { ...checked.auth, email: email.trim() } }
      : checked;
  return collectEntries([[registry.trim(), result]]);
}

/** `kubectl create secret generic --from-file` takes the line end of the file along, which no login means. */
function withoutLineEnd(text: string): string {
  return text.replace(/\r?\n$/, "");
}
