import { normaliseHost, parseAuthority } from "../destination/host.ts";
import { Problem } from "../problem.ts";

/** `host[:port]`, `*.suffix[:port]` (any depth, not the suffix itself) or `*`, in normalised form. */
export interface HostPattern {
  readonly kind: "exact" | "suffix" | "any";
  /** The host, the suffix with its leading dot, or empty. */
  readonly host: string;
  readonly port: number | undefined;
}

/** Parses a pattern as people write it. Fails with `policy.invalid`. */
export function parseHostPattern(text: string): HostPattern {
  if (text === "*") return { kind: "any", host: "", port: undefined };
  const isSuffix = text.startsWith("*.");
  const parsed = parseHostAndPort(isSuffix ? text.slice(2) : text);
  if (parsed === undefined) {
    throw new Problem("policy.invalid", { detail: `Not a host pattern: ${JSON.stringify(text.slice(0, 80))}.` });
  }
  return isSuffix ? { kind: "suffix", ...parsed, host: `.${parsed.host}` } : { kind: "exact", ...parsed };
}

function parseHostAndPort(text: string): { readonly host: string; readonly port: number | undefined } | undefined {
  const bare = normaliseHost(text);
  return bare === undefined ? parseAuthority(text) : { host: bare, port: undefined };
}

/** Whether a normalised host and port fall under the pattern; a pattern without port matches every port. */
export function matchHostPattern(pattern: HostPattern, host: string, port: number): boolean {
  if (pattern.port !== undefined && pattern.port !== port) return false;
  if (pattern.kind === "any") return true;
  return pattern.kind === "exact"
    ? pattern.host === host
    : host.endsWith(pattern.host) && host !== pattern.host.slice(1);
}

/** Negative when `a` is more specific: `host:port`, `host`, longest wildcard with port, without, `*`. */
export function compareSpecificity(a: HostPattern, b: HostPattern): number {
  return rank(b) - rank(a);
}

function rank({ kind, host, port }: HostPattern): number {
  const base = kind === "exact" ? 4096 : kind === "suffix" ? 2 * host.length : 0;
  return base + (port === undefined ? 0 : 1);
}
