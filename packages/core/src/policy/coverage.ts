import type { CompiledRule } from "./compile-rules.ts";
import type { HostPattern } from "./host-pattern.ts";
import { foldPattern, type PathPattern } from "./path-pattern.ts";

/** The least that a rule speaks of: one host pattern, one port or all, one method or all, one path pattern or all. */
export interface RuleAtom {
  readonly host: HostPattern;
  readonly port: number | undefined;
  readonly method: string | undefined;
  readonly path: PathPattern | undefined;
  /** The path holds in every case, as that of a refusal does. */
  readonly isFolded: boolean;
  /** Where host, method and path stand in their rule's lists. */
  readonly at: { readonly host: number; readonly method: number; readonly path: number };
}

/** Everything that a rule speaks of; on these ports where it means every one. */
export function atomsOf(
  { hosts, ports, methods, paths, decision }: CompiledRule,
  everyPort: readonly (number | undefined)[] = [undefined],
): readonly RuleAtom[] {
  const everyMethod = methods === undefined ? [undefined] : [...methods];
  const everyPath = paths ?? [undefined];
  return hosts.flatMap((host, hostAt) =>
    (host.port === undefined ? (ports ?? everyPort) : [host.port]).flatMap((port) =>
      everyMethod.flatMap((method, methodAt) =>
        everyPath.map((path, pathAt) => ({
          host,
          port,
          method,
          path,
          isFolded: decision.action === "deny",
          at: { host: hostAt, method: methodAt, path: pathAt },
        })),
      ),
    ),
  );
}

/**
 * Whether every request that falls under `b` falls under `a` too. May say no where it is so, never yes where not; save
 * that of a refusal only the case in which it is written counts.
 */
export function coversAtom(a: RuleAtom, b: RuleAtom): boolean {
  if (!coversPlace(a, b)) return false;
  if (a.method !== undefined && a.method !== b.method) return false;
  if (a.path === undefined) return true;
  return b.path !== undefined && coversPath(a.path, a.isFolded ? foldPattern(b.path) : b.path);
}

/** `coversAtom` of host and port alone. */
export function coversPlace(a: RuleAtom, b: RuleAtom): boolean {
  return (a.port === undefined || a.port === b.port) && coversHost(a.host, b.host);
}

/** Ports apart. */
function coversHost(a: HostPattern, b: HostPattern): boolean {
  if (a.kind === "any") return true;
  if (a.kind === "exact") return b.kind === "exact" && a.host === b.host;
  return b.kind !== "any" && b.host.endsWith(a.host);
}

/** Whether every path under `b` is under `a`. */
function coversPath({ segments: a }: PathPattern, { segments: b }: PathPattern): boolean {
  // reached[j]: a's first i segments can stand for b's first j.
  let reached = [true, ...b.map(() => false)];
  for (const segment of a) {
    const isDeep = typeof segment !== "string" && segment.isDeep;
    const next = b.map(() => false);
    next.unshift(isDeep && reached[0] === true);
    for (const [j, other] of b.entries()) {
      // `**` takes any segments in, those of another `**` too; one segment takes exactly one in.
      next[j + 1] = isDeep
        ? reached[j + 1] === true || next[j] === true
        : reached[j] === true && coversSegment(segment, other);
    }
    reached = next;
  }
  return reached.at(-1) === true;
}

type Segment = PathPattern["segments"][number];

function coversSegment(a: Segment, b: Segment): boolean {
  if (typeof b !== "string" && b.isDeep) return false;
  return typeof a !== "string" || a === b;
}
