import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { KubernetesObject } from "../cluster/object.ts";
import { SlipwayError } from "../errors.ts";
import { parseDocuments } from "./document.ts";

/**
 * The Kubernetes objects of every .yaml, .yml and .json file in a folder and below; kustomizations are left out, since
 * they are no objects of a cluster.
 *
 * @throws SlipwayError CONFIG_INVALID for a folder or file that cannot be read
 */
export async function readFolder(folder: string): Promise<readonly KubernetesObject[]> {
  const names = await readable(folder, () => readdir(folder, { recursive: true }));
  const files = names.filter((name) => /\.(?:ya?ml|json)$/.test(name) && !/(?:^|\/)kustomization\.ya?ml$/.test(name));
  const objects = await Promise.all(files.toSorted().map((name) => readFileDocuments(join(folder, name))));
  return objects.flat();
}

/** @throws as readFolder */
export async function readFileDocuments(path: string): Promise<readonly KubernetesObject[]> {
  return parseDocuments(await readable(path, () => readFile(path, "utf8")), path);
}

async function readable<Value>(path: string, read: () => Promise<Value>): Promise<Value> {
  try {
    return await read();
  } catch (error) {
    const code = (error as { code?: unknown }).code;
    throw new SlipwayError("CONFIG_INVALID", `${path}: cannot be read (${String(code)})`, { cause: error });
  }
}
