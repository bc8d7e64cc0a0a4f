import { addressBits, type Cidr, cidrContainsBits, parseCidr } from "./cidr.ts";
import { normaliseHost } from "./host.ts";
import { embeddedIpv4, parseIpv6 } from "./ipv6.ts";

/** What kind of place an address is. */
export type AddressClass =
  | "public"
  | "loopback"
  | "private"
  | "link_local"
  | "metadata"
  | "multicast"
  | "unspecified"
  | "reserved";

// IANA's special-purpose address registries (RFC 6890 and its updates), and where clouds serve machine identities.
// From the most to the least dangerous: an address that is several things counts as the first.
const RANGES: Readonly<Record<Exclude<AddressClass, "public">, readonly string[]>> = {
  metadata: [
    "169.254.169.254",
    "169.254.169.123",
    "169.254.170.2",
    "169.254.170.23",
    "169.254.0.23",
    "169.254.42.42",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "fd00:ec2::/32",
    "fd20:ce::254",
    "fd00:c1::a9fe:a9fe",
    "fd00:42::42",
    "fe80::a9fe:a9fe",
  ],
  link_local: ["169.254.0.0/16", "fe80::/10"],
  loopback: ["127.0.0.0/8", "::1"],
  private: [
    "10.0.0.0/8",
    "100.64.0.0/10",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "64:ff9b:1::/48",
    "fc00::/7",
    "fec0::/10",
  ],
  // Below the private ones: the unused layouts of a local NAT64 prefix read as zeros.
  unspecified: ["0.0.0.0/8", "::"],
  multicast: ["224.0.0.0/4", "ff00::/8"],
  reserved: [
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "240.0.0.0/4",
    "2001:2::/48",
    "2001:10::/28",
    "2001:20::/28",
    "2001:db8::/32",
    "3fff::/20",
  ],
};

const CLASSES = Object.entries(RANGES).flatMap(([name, ranges]) =>
  ranges.map((range) => ({ name: name as AddressClass, range: requireCidr(range) })),
);
const SEVERITY: readonly string[] = [...Object.keys(RANGES), "public"];
// Of IPv6, only global unicast and NAT64's well-known prefix lead to the public internet.
const PUBLIC_IPV6: readonly Cidr[] = ["2000::/3", "64:ff9b::/96"].map(requireCidr);
// A connection to 0.0.0.0 or :: arrives at loopback, where the node's own sockets are.
const NEVER: ReadonlySet<AddressClass> = new Set(["metadata", "link_local", "unspecified"]);

function requireCidr(text: string): Cidr {
  const range = parseCidr(text);
  if (range === undefined) throw new RangeError(`not a range: ${text}`);
  return range;
}

/**
 * What kind of place an address is. Forms that carry an IPv4 address (mapped, compatible, NAT64, 6to4, Teredo, ISATAP)
 * count as the most dangerous of what they are and what they carry. Text that is no address is `reserved`.
 */
export function classifyAddress(ip: string): AddressClass {
  const host = normaliseHost(ip);
  const address = host === undefined ? undefined : addressBits(host);
  if (host === undefined || address === undefined) return "reserved";
  const special = CLASSES.find(({ range }) => cidrContainsBits(range, address))?.name;
  if (address.family === 4) return special ?? "public";
  const own = special ?? (PUBLIC_IPV6.some((range) => cidrContainsBits(range, address)) ? "public" : "reserved");
  // `::` and `::1` lie in the range of IPv4-compatible addresses, but carry none.
  if (own === "unspecified" || own === "loopback") return own;
  return [own, ...embeddedIpv4(parseIpv6(host) ?? []).map(classifyAddress)].reduce(worse);
}

function worse(a: AddressClass, b: AddressClass): AddressClass {
  return SEVERITY.indexOf(a) <= SEVERITY.indexOf(b) ? a : b;
}

/** Whether an address may be dialed; if not, what it is. */
export type DialVerdict = { readonly ok: true } | { readonly ok: false; readonly class: AddressClass };

/**
 * Whether the gate may dial an address: public ones, and others only inside a range that an allow rule stated for
 * this host and port (`CompiledPolicy.addressRanges`). Metadata, link-local and unspecified addresses never.
 */
export function mayDial(ip: string, statedRanges: readonly string[]): DialVerdict {
  const kind = classifyAddress(ip);
  if (kind === "public") return { ok: true };
  const address = NEVER.has(kind) ? undefined : addressBits(ip);
  const isStated =
    address !== undefined &&
    statedRanges.some((text) => {
      const range = parseCidr(text);
      return range !== undefined && cidrContainsBits(range, address);
    });
  return isStated ? { ok: true } : { ok: false, class: kind };
}
