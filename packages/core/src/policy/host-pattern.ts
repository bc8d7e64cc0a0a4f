import { isIpAddress, normaliseHost, parseAuthority } from "../destination/host.ts";
import { Problem } from "../problem.ts";

/** `host`, `*.suffix` (any depth, not the suffix itself) or `*`, each with or without `:port`; normalised. */
export interface HostPattern {
  readonly kind: "exact" | "suffix" | "any";
  /** The host, the suffix with its leading dot, or empty. */
  readonly host: string;
  readonly port: number | undefined;
}

/** Parses a pattern as people write it. Fails with `policy.invalid`. */
export function parseHostPattern(text: string): HostPattern {
  const pattern = readHostPattern(text);
  if (pattern === undefined) {
    throw new Problem("policy.invalid", { detail: `Not a host pattern: ${JSON.stringify(text.slice(0, 80))}.` });
  }
  return pattern;
}

/** `parseHostPattern` that answers `undefined` instead of failing. */
export function readHostPattern(text: string): HostPattern | undefined {
  if (text === "*") return { kind: "any", host: "", port: undefined };
  if (text.startsWith("*:")) {
    // Any host: a stand-in gives the port its one parser.
    const port = parseAuthority(`any${text.slice(1)}`)?.port;
    return port === undefined ? undefined : { kind: "any", host: "", port };
  }
  const isSuffix = text.startsWith("*.");
  const place = readPlace(isSuffix ? text.slice(2) : text);
  if (place === undefined || !isSuffix) return place && { kind: "exact", ...place };
  // `*.0.0.1` would be a suffix of addresses, which have no hierarchy of names.
  return isIpAddress(place.host) === 0 ? { kind: "suffix", host: `.${place.host}`, port: place.port } : undefined;
}

function readPlace(text: string): { readonly host: string; readonly port: number | undefined } | undefined {
  const bare = normaliseHost(text);
  return bare === undefined ? parseAuthority(text) : { host: bare, port: undefined };
}

/** Whether a normalised host and port fall under the pattern; a pattern without port matches every port. */
export function matchHostPattern(pattern: HostPattern, host: string, port: number): boolean {
  if (pattern.port !== undefined && pattern.port !== port) return false;
  if (pattern.kind === "any") return true;
  return pattern.kind === "exact" ? pattern.host === host : host.endsWith(pattern.host);
}

/** Negative when `a` is more specific: `host:port`, `host`, the longest wildcard (with port first), `*:port`, `*`. */
export function compareSpecificity(a: HostPattern, b: HostPattern): number {
  return rank(b) - rank(a);
}

function rank({ kind, host, port }: HostPattern): number {
  const base = kind === "exact" ? 4096 : 2 * host.length;
  return base + (port === undefined ? 0 : 1);
}
