import { lookup } from "node:dns/promises";
import { isIpAddress, mayDial, normaliseHost, Problem } from "@gatehouse/core";

/** The addresses of a name. Rejects when it has none. */
export type LookUp = (name: string) => Promise<readonly string[]>;

/** As the machine resolves names; IPv4 first, for hosts whose IPv6 leads nowhere. */
export const systemLookUp: LookUp = async (name) =>
  (await lookup(name, { all: true, order: "ipv4first" })).map(({ address }) => address);

/** Which names and addresses the gate has its own word on. */
export interface ResolveConfig {
  /** Names resolved without asking the system, lower case → address. */
  readonly hosts: Readonly<Record<string, string>>;
  /** Every address of any other name, in the order in which they are tried. */
  readonly lookUp: LookUp;
  /** Addresses (`ip:port`) of Gatehouse itself. */
  readonly ownAddresses: () => ReadonlySet<string>;
}

/** A place to be dialed, and the ranges beside public addresses that policy stated for it. */
interface Place {
  readonly host: string;
  readonly port: number;
  readonly statedRanges: readonly string[];
}

/**
 * The addresses of a host, each of them one that may be dialed: a name with a single forbidden address is refused
 * whole. Fails with `gate.address_forbidden` or `gate.upstream_unreachable`.
 */
export async function resolveChecked(place: Place, config: ResolveConfig): Promise<readonly string[]> {
  const addresses = knownAddresses(place.host, config.hosts) ?? (await lookUpAddresses(place.host, config.lookUp));
  checkAddresses(place, addresses, config.ownAddresses());
  return addresses;
}

/** The addresses that no resolver is asked for: a literal is its own, and configured names have theirs. */
export function knownAddresses(host: string, hosts: ResolveConfig["hosts"]): readonly string[] | undefined {
  if (isIpAddress(host) !== 0) return [host];
  const fixed = Object.hasOwn(hosts, host) ? hosts[host] : undefined;
  return fixed === undefined ? undefined : [fixed];
}

/** Fails with `gate.upstream_unreachable` for a name that has none. */
export async function lookUpAddresses(host: string, lookUp: LookUp): Promise<readonly string[]> {
  try {
    return await lookUp(host);
  } catch (cause) {
    throw new Problem("gate.upstream_unreachable", { detail: `${host} does not resolve.`, cause });
  }
}

/** Fails with `gate.address_forbidden` when one of them may not be dialed. */
export function checkAddresses(place: Place, addresses: readonly string[], own: ReadonlySet<string>): void {
  for (const address of addresses) {
    const verdict = mayDial(address, place.statedRanges);
    if (!verdict.ok) throw forbidden(place, `Its address is ${verdict.class.replace("_", "-")}.`);
    if (own.has(`${normaliseHost(address) ?? address}:${place.port}`))
      throw forbidden(place, "It is Gatehouse itself.");
  }
}

function forbidden({ host, port }: Place, why: string): Problem {
  return new Problem("gate.address_forbidden", { detail: `${host}:${port} may not be reached. ${why}` });
}
