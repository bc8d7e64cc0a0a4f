import { isIpAddress, normaliseHost } from "./host.ts";
import { parseIpv4 } from "./ipv4.ts";
import { embeddedIpv4, parseIpv6 } from "./ipv6.ts";

export type AddressClass =
  | "public"
  | "loopback"
  | "private"
  | "link_local"
  | "metadata"
  | "multicast"
  | "unspecified"
  | "reserved";

/** A range of addresses, as bits to compare. */
export interface Cidr {
  readonly bits: bigint;
  readonly prefix: number;
  readonly family: 4 | 6;
}

/** Parses `address/prefix` (or one address). `undefined` when it is no range or has bits below its prefix. */
export function parseCidr(text: string): Cidr | undefined {
  const [address = "", length, ...more] = text.split("/");
  const host = more.length === 0 ? normaliseHost(address) : undefined;
  const family = host === undefined ? 0 : isIpAddress(host);
  if (host === undefined || family === 0) return undefined;
  const width = family === 4 ? 32 : 128;
  const prefix = length === undefined ? width : /^[0-9]{1,3}$/.test(length) ? Number(length) : -1;
  const bits = addressBits(host);
  if (prefix < 0 || prefix > width || bits === undefined) return undefined;
  return (bits & ((1n << BigInt(width - prefix)) - 1n)) === 0n ? { bits, prefix, family } : undefined;
}

/** Whether the range holds the address. Families never mix; mapped IPv6 counts as IPv4. */
export function cidrContains(range: Cidr, address: string): boolean {
  const host = normaliseHost(address);
  if (host === undefined || isIpAddress(host) !== range.family) return false;
  const shift = BigInt((range.family === 4 ? 32 : 128) - range.prefix);
  return (addressBits(host) ?? -1n) >> shift === range.bits >> shift;
}

function addressBits(host: string): bigint | undefined {
  if (isIpAddress(host) === 4) return BigInt(parseIpv4(host) ?? 0);
  return parseIpv6(host)?.reduce((sum, group) => (sum << 16n) + BigInt(group), 0n);
}

// IANA special-purpose registries (RFC 6890 and updates), and the metadata addresses of known clouds. First match wins.
const CLASSES: readonly (readonly [AddressClass, readonly string[]])[] = [
  [
    "metadata",
    [
      "169.254.169.254",
      "169.254.170.2",
      "169.254.170.23",
      "169.254.169.123",
      "100.100.100.200",
      "168.63.129.16",
      "192.0.0.192",
      "fd00:ec2::254",
      "fd00:ec2::23",
      "fd20:ce::254",
    ],
  ],
  ["link_local", ["169.254.0.0/16", "fe80::/10"]],
  ["loopback", ["127.0.0.0/8", "::1"]],
  ["unspecified", ["0.0.0.0/8", "::"]],
  [
    "private",
    ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "198.18.0.0/15", "fc00::/7", "fec0::/10"],
  ],
  ["multicast", ["224.0.0.0/4", "ff00::/8"]],
  [
    "reserved",
    [
      "192.0.0.0/24",
      "192.0.2.0/24",
      "192.88.99.0/24",
      "198.51.100.0/24",
      "203.0.113.0/24",
      "240.0.0.0/4",
      "100::/64",
      "2001:db8::/32",
      "3fff::/20",
      "5f00::/16",
    ],
  ],
];

const RANGES = CLASSES.flatMap(([name, ranges]) =>
  ranges.flatMap((text) => {
    const range = parseCidr(text);
    return range === undefined ? [] : [{ name, range }];
  }),
);

const GLOBAL_UNICAST: Cidr = { bits: 0x2000n << 112n, prefix: 3, family: 6 };

/** What kind of place an address is; forms that carry an IPv4 address (NAT64, 6to4, Teredo, …) are looked through. */
export function classifyAddress(address: string): AddressClass {
  const host = normaliseHost(address);
  if (host === undefined || isIpAddress(host) === 0) return "reserved";
  const found = RANGES.find(({ range }) => cidrContains(range, host))?.name;
  if (found !== undefined) return found;
  if (isIpAddress(host) === 4) return "public";
  const inner = embeddedIpv4(parseIpv6(host) ?? []);
  if (inner !== undefined) return classifyAddress(inner);
  return cidrContains(GLOBAL_UNICAST, host) ? "public" : "reserved";
}

export type DialVerdict = { readonly ok: true } | { readonly ok: false; readonly class: AddressClass };

/**
 * Whether the gate may dial an address: public ones, and others only inside a range that an allow rule stated for
 * this host and port. Metadata and link-local addresses never.
 */
export function mayDial(address: string, statedRanges: readonly string[]): DialVerdict {
  const kind = classifyAddress(address);
  if (kind === "public") return { ok: true };
  if (kind === "metadata" || kind === "link_local") return { ok: false, class: kind };
  const isStated = statedRanges.some((text) => {
    const range = parseCidr(text);
    return range !== undefined && cidrContains(range, address);
  });
  return isStated ? { ok: true } : { ok: false, class: kind };
}
