import { formatIpv4, parseIpv4 } from "./ipv4.ts";
import { embeddedIpv4, formatIpv6, parseIpv6 } from "./ipv6.ts";

const NAME = /^(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*$/;

/**
 * The one spelling of a host that rules compare: names in lower case without the trailing dot (ASCII or punycode
 * alone), every spelling of an IPv4 address dotted, IPv6 in RFC 5952 form without brackets, mapped IPv6 as IPv4.
 * `undefined` when the text is no host.
 */
export function normaliseHost(text: string): string | undefined {
  const bracketed = /^\[(.+)\]$/.exec(text)?.[1];
  if (bracketed !== undefined || text.includes(":")) return normaliseIpv6(bracketed ?? text);
  const name = text.toLowerCase().replace(/\.$/, "");
  if (!NAME.test(name)) return undefined;
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
  return isMapped ? embeddedIpv4(groups) : formatIpv6(groups);
}

/** 4 or 6 for an address in the form of `normaliseHost`, 0 for a name. */
export function isIpAddress(host: string): 0 | 4 | 6 {
  if (host.includes(":")) return 6;
  return /^\d+\.\d+\.\d+\.\d+$/.test(host) ? 4 : 0;
}

export interface Authority {
  readonly host: string;
  readonly port: number;
}

/** `host:port` without user info, the host normalised. `undefined` when it is no authority. */
export function parseAuthority(text: string, defaultPort?: number): Authority | undefined {
  const match = /^(\[[^\]@]+\]|[^:@[\]]+)(?::([0-9]{1,5}))?$/.exec(text);
  if (match === null) return undefined;
  const host = normaliseHost(match[1] ?? "");
  const port = match[2] === undefined ? defaultPort : Number(match[2]);
  if (host === undefined || port === undefined || port < 1 || port > 65_535) return undefined;
  return { host, port };
}
