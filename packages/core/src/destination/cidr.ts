import { isIpAddress, normaliseHost } from "./host.ts";
import { isDottedIpv4, parseIpv4 } from "./ipv4.ts";
import { parseIpv6 } from "./ipv6.ts";

/** A range of addresses, as bits to compare. */
export interface Cidr {
  readonly family: 4 | 6;
  readonly bits: bigint;
  readonly prefix: number;
}

/** An address as a number. */
export interface AddressBits {
  readonly family: 4 | 6;
  readonly bits: bigint;
}

/**
 * Parses `address/prefix`, or one address. `undefined` when it is no range, when bits below the prefix are set, or
 * when an IPv4 address is not dotted (`10/8` has two readings).
 */
export function parseCidr(text: string): Cidr | undefined {
  const match = /^([0-9A-Fa-f:.]+)(?:\/(0|[1-9][0-9]{0,2}))?$/.exec(text);
  const written = match?.[1] ?? "";
  const address = written.includes(":") || isDottedIpv4(written) ? addressBits(written) : undefined;
  if (address === undefined) return undefined;
  const width = address.family === 4 ? 32 : 128;
  const prefix = match?.[2] === undefined ? width : Number(match[2]);
  if (prefix > width) return undefined;
  const below = (1n << BigInt(width - prefix)) - 1n;
  return (address.bits & below) === 0n ? { ...address, prefix } : undefined;
}

/** Whether the range holds the address. Families never mix; IPv4-mapped IPv6 counts as IPv4; a name is in no range. */
export function cidrContains(range: Cidr, address: string): boolean {
  const parsed = addressBits(address);
  return parsed !== undefined && cidrContainsBits(range, parsed);
}

/** `cidrContains` for an address that is parsed already. */
export function cidrContainsBits(range: Cidr, address: AddressBits): boolean {
  const shift = BigInt((range.family === 4 ? 32 : 128) - range.prefix);
  return range.family === address.family && address.bits >> shift === range.bits >> shift;
}

/** The number of an address in any spelling; `undefined` for names. */
export function addressBits(text: string): AddressBits | undefined {
  const host = normaliseHost(text);
  if (host === undefined) return undefined;
  const family = isIpAddress(host);
  if (family === 4) return { family, bits: BigInt(parseIpv4(host) ?? 0) };
  if (family === 0) return undefined;
  return { family, bits: (parseIpv6(host) ?? []).reduce((sum, group) => (sum << 16n) + BigInt(group), 0n) };
}
