export type Address = { readonly host: string; readonly port: number | undefined };

/** Takes `host[:port]` apart; an IPv6 host stands in brackets, which are left out of `host`. */
export function splitAddress(text: string): Address {
  const match = /^(?:\[([^\]]*)\]|([^:]*))(?::(\d{1,5}))?$/.exec(text);
  if (match === null) return { host: text, port: undefined };
  const [, bracketed, plain, port] = match;
  return { host: bracketed ?? plain ?? "", port: port === undefined ? undefined : Number(port) };
}

/** `host:port` for URLs: an IPv6 host in brackets. */
export function joinAddress(host: string, port: number): string {
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}
