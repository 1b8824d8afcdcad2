import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { z } from "zod";
import type { Login } from "../credential/login.ts";
import { SlipwayError } from "../errors.ts";

/** What `slipway dev --state DIR` writes as DIR/dev.json, as far as the registry is concerned. */
export type StateFile = {
  readonly kubeconfig: string;
  readonly url: string;
  /** PEM. */
  readonly ca: string;
  readonly login: Login;
};

const schema = z.object({
  kubeconfig: z.string().min(1),
  registry: z.object({
    url: z.url(),
    caFile: z.string().min(1),
    username: z.string().min(1),
    passwordFile: z.string().min(1),
  }),
});

/** @throws SlipwayError CONFIG_INVALID that names the file and the field; relative paths in it are beside it */
export async function readStateFile(path: string): Promise<StateFile> {
  const parsed = schema.safeParse(await readJson(path));
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new SlipwayError(
      "CONFIG_INVALID",
      `${path}: ${issue?.path.join(".") ?? ""}: ${issue?.message ?? "is not valid"}`,
    );
  }
  const { kubeconfig, registry } = parsed.data;
  const beside = (name: string) => resolve(dirname(path), name);
  return {
    kubeconfig: beside(kubeconfig),
    url: registry.url,
    ca: await readText(beside(registry.caFile)),
    login: { username: registry.username, password: (await readText(beside(registry.passwordFile))).trim() },
  };
}

async function readJson(path: string): Promise<unknown> {
  try {
    return JSON.parse(await readText(path));
  } catch (error) {
    if (error instanceof SlipwayError) throw error;
    throw new SlipwayError("CONFIG_INVALID", `${path}: is no JSON`, { cause: error });
  }
}

/** A file that an option names. @throws SlipwayError CONFIG_INVALID */
export async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    throw new SlipwayError("CONFIG_INVALID", `${path}: ${error instanceof Error ? error.message : "cannot be read"}`, {
      cause: error,
    });
  }
}
