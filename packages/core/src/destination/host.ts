import { formatIpv4, isDottedIpv4, parseIpv4 } from "./ipv4.ts";
import { embeddedIpv4, formatIpv6, parseIpv6 } from "./ipv6.ts";

// Checked before the case is folded: toLowerCase() turns U+212A (Kelvin) into an ASCII k.
const NAME =
  /^(?=.{1,253}$)[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?(?:\.[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)*$/;

/**
 * The one spelling of a host that rules compare and the gate dials: names in lower case without their trailing dot
 * (ASCII or punycode alone), every spelling of an IPv4 address dotted, IPv6 in RFC 5952 form without brackets,
 * IPv4-mapped IPv6 as IPv4. `undefined` when the text is no host; zones (`fe80::1%eth0`) and escapes are none.
 */
export function normaliseHost(text: string): string | undefined {
  const bracketed = /^\[(.+)\]$/.exec(text)?.[1];
  if (bracketed !== undefined || text.includes(":")) return normaliseIpv6(bracketed ?? text);
  const written = text.endsWith(".") ? text.slice(0, -1) : text;
  if (!NAME.test(written)) return undefined;
  const name = written.toLowerCase();
  // A name whose last label is a number is read as an address by resolvers; one that is none is no name either.
  const last = name.slice(name.lastIndexOf(".") + 1);
  if (!/^(?:[0-9]+|0x[0-9a-f]*)$/.test(last)) return name;
  const address = parseIpv4(name);
  return address === undefined ? undefined : formatIpv4(address);
}

function normaliseIpv6(text: string): string | undefined {
  const groups = parseIpv6(text);
  if (groups === undefined) return undefined;
  const isMapped = groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff;
  return isMapped ? embeddedIpv4(groups)[0] : formatIpv6(groups);
}

/** 4 or 6 for an address in the form of `normaliseHost`, 0 for anything else. */
export function isIpAddress(host: string): 0 | 4 | 6 {
  if (host.includes(":")) return parseIpv6(host) === undefined ? 0 : 6;
  return isDottedIpv4(host) ? 4 : 0;
}

/** Where a connection goes. */
export interface Authority {
  /** In the form of `normaliseHost`. */
  readonly host: string;
  readonly port: number;
}

/**
 * Parses `host:port`, or `host` when there is a default port. IPv6 stands in brackets. `undefined` for anything else:
 * user info, an empty port, leading zeros.
 */
export function parseAuthority(text: string, defaultPort?: number): Authority | undefined {
  const match = /^(\[[^\]@]+\]|[^:@[\]]+)(?::([1-9][0-9]{0,4}))?$/.exec(text);
  if (match === null) return undefined;
  const host = normaliseHost(match[1] ?? "");
  const port = match[2] === undefined ? defaultPort : Number(match[2]);
  if (host === undefined || port === undefined || port < 1 || port > 65_535) return undefined;
  return { host, port };
}
