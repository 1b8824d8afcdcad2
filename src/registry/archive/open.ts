import { SlipwayError } from "../../errors.ts";
import type { Content } from "./content.ts";
import { readDockerArchive } from "./docker-archive.ts";
import type { Archive } from "./image.ts";
import { readOciLayout } from "./oci-layout.ts";

/**
 * Reads what the content holds: an OCI image layout, which newer `docker save` writes too, else a docker archive.
 * Takes the content over: it is closed with the archive, or at once when it cannot be read.
 *
 * @throws SlipwayError ARCHIVE_INVALID
 */
export async function openArchive(content: Content): Promise<Archive> {
  try {
    if (content.sizeOf("index.json") !== undefined)
      return { images: await readOciLayout(content), close: content.close };
    if (content.sizeOf("manifest.json") !== undefined) {
      return { images: await readDockerArchive(content), close: content.close };
    }
    throw new SlipwayError(
      "ARCHIVE_INVALID",
      `${content.path}: neither index.json (OCI image layout) nor manifest.json (docker archive) is in it`,
    );
  } catch (error) {
    await content.close();
    throw error;
  }
}
