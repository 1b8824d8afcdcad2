const marker = "# Managed by slipway.";

/** In `/etc/containers/registries.conf.d`: sorts after a distribution's own files. */
export const registriesConfName = "90-slipway.conf";

/**
 * CRI-O's drop-in for the loopback proxy: CRI-O from 1.35 treats localhost like any registry and wants TLS there,
 * unless it is told otherwise. CRI-O reads the file at its start, on SIGHUP, and by itself with
 * `auto_reload_registries = true`.
 *
 * @see https://github.com/containers/image/blob/main/docs/containers-registries.conf.5.md
 */
export function renderRegistriesConf(loopbackPort: number): string {
  return [
    `${marker} Do not edit: changes are undone within a minute.`,
    ...["127.0.0.1", "[::1]", "localhost"].flatMap((host) => [
      "",
      "[[registry]]",
      `location = "${host}:${loopbackPort}"`,
      "insecure = true",
    ]),
    "",
  ].join("\n");
}

export function isOurRegistriesConf(text: string): boolean {
  return text.startsWith(marker);
}
