import { normalisePath, type PathReading, readPath } from "./path.ts";

/** A compiled path pattern: literal segments, `*` for one segment, `**` for any number, none included. */
export interface PathPattern {
  readonly segments: readonly PatternSegment[];
}

type PatternSegment = string | Wildcard;

interface Wildcard {
  readonly isDeep: boolean;
}

const ONE: Wildcard = { isDeep: false };
const ANY: Wildcard = { isDeep: true };

/**
 * Parses a pattern that starts with `/`, or `**`: every path. `undefined` when it is none or could never match: dot or
 * empty segments, encodings that are refused in requests, and a star beside other characters, which people would take
 * for a glob.
 */
export function parsePathPattern(text: string): PathPattern | undefined {
  if (text === "**") return { segments: [ANY] };
  if (!text.startsWith("/") || /[?#\\\s]|%25[0-9a-f]{2}/i.test(text) || !text.isWellFormed()) return undefined;
  const written = text.slice(1).split("/");
  if (written.at(-1) === "") written.pop();
  const segments = written.map(parseSegment);
  return segments.every((segment) => segment !== undefined) ? { segments } : undefined;
}

function parseSegment(written: string): PatternSegment | undefined {
  if (written === "*") return ONE;
  if (written === "**") return ANY;
  if (written.includes("*")) return undefined;
  const literal = decode(written);
  // Nothing of this can stand in a segment of a request that is compared with it.
  const isPossible = literal !== undefined && !/[/\\\p{Cc}]/u.test(literal) && !/^\.{0,2}(?:;|$)/.test(literal);
  return isPossible ? literal : undefined;
}

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

/** The pattern with its literals in lower case, for readings that are folded too. */
export function foldPattern({ segments }: PathPattern): PathPattern {
  return { segments: segments.map((segment) => (typeof segment === "string" ? segment.toLowerCase() : segment)) };
}

/** Whether the pattern holds for every path. */
export function matchesEveryPath({ segments }: PathPattern): boolean {
  return segments.length > 0 && segments.every((segment) => typeof segment !== "string" && segment.isDeep);
}

/**
 * Whether a path falls under the pattern in every way in which servers read it; case counts. A path that is ambiguous
 * otherwise falls under none but `**`: this is the question of a grant, not of a refusal.
 */
export function matchPath(pattern: PathPattern, path: string): boolean {
  if (matchesEveryPath(pattern)) return true;
  const normalised = normalisePath(path);
  if (normalised.ambiguity !== undefined && normalised.ambiguity !== "encoded slash") return false;
  return readPath(normalised).every((reading) => matchReading(pattern, reading));
}

/**
 * Whether one reading falls under the pattern, each segment with and without its `;` parameters. Two pointers and one
 * remembered `**` keep the work at |pattern| × |path| in the worst case.
 */
export function matchReading({ segments }: PathPattern, path: PathReading): boolean {
  let at = 0;
  let step = 0;
  let afterDeep = -1;
  let resumeAt = 0;
  while (at < path.length) {
    const segment = segments[step];
    if (segment === ANY) {
      step += 1;
      afterDeep = step;
      resumeAt = at;
    } else if (segment !== undefined && matchSegment(segment, path[at] ?? "")) {
      step += 1;
      at += 1;
    } else if (afterDeep >= 0) {
      step = afterDeep;
      resumeAt += 1;
      at = resumeAt;
    } else return false;
  }
  while (segments[step] === ANY) step += 1;
  return step === segments.length;
}

function matchSegment(pattern: PatternSegment, segment: string): boolean {
  if (typeof pattern !== "string" || pattern === segment) return true;
  return segment.length > pattern.length && segment[pattern.length] === ";" && segment.startsWith(pattern);
}
