import { access, constants } from "node:fs/promises";
import { delimiter, join } from "node:path";

/** The path of a program on PATH, or undefined where the machine has none. */
export async function findProgram(name: string): Promise<string | undefined> {
  const folders = [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin"];
  for (const folder of folders.filter((each) => each !== "")) {
    const path = join(folder, name);
    const isThere = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (isThere) return path;
  }
  return undefined;
}
