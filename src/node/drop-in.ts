import type { Disk } from "./disk.ts";
import { isOurRegistriesConf, registriesConfName, renderRegistriesConf } from "./registries-conf.ts";
import type { Failure } from "./strategy.ts";
import { describeWriteFault } from "./write-fault.ts";

/** CRI-O's drop-in file for the loopback proxy. */
export type DropIn = {
  write(loopbackPort: number): Promise<Failure | undefined>;
  remove(): Promise<Failure | undefined>;
};

/** @param needs.folder registries.conf.d as mounted into this process, and as CRI-O sees it */
export function createDropIn(needs: {
  readonly disk: Disk;
  readonly folder: { readonly mounted: string; readonly path: string };
}): DropIn {
  const { disk, folder } = needs;
  const file = `${folder.mounted}/${registriesConfName}`;
  const temporary = `${folder.mounted}/.${registriesConfName}.tmp`;
  const path = `${folder.path}/${registriesConfName}`;

  async function attempt(work: () => Promise<Failure | undefined>): Promise<Failure | undefined> {
    try {
      return await work();
    } catch (error) {
      return describeWriteFault(error, path);
    }
  }

  return {
    write: (loopbackPort) =>
      attempt(async () => {
        const wanted = renderRegistriesConf(loopbackPort);
        const found = await disk.read(file);
        if (found === wanted) return undefined;
        if (found !== undefined && !isOurRegistriesConf(found)) {
          return { reason: "ForeignFile", message: `${path} is not Slipway's and stays as it is; remove it` };
        }
        await disk.write(temporary, wanted);
        await disk.rename(temporary, file);
        await disk.syncFolder(folder.mounted);
        return undefined;
      }),
    remove: () =>
      attempt(async () => {
        await disk.removeFile(temporary);
        const found = await disk.read(file);
        if (found !== undefined && isOurRegistriesConf(found)) await disk.removeFile(file);
        return undefined;
      }),
  };
}
