/** A request target's path as it is matched and sent, and whether it has exactly one reading. */
export interface NormalisedPath {
  readonly path: string;
  /** Without its `?`; `undefined` when there was none. Kept as sent. */
  readonly query: string | undefined;
  /** Why the path can be read in two ways; refused where a path rule holds. */
  readonly ambiguity: string | undefined;
}

const decoder = new TextDecoder("utf-8", { fatal: true });
// RFC 3986 unreserved: encoded or not, they are the same character.
const UNRESERVED = /[A-Za-z0-9._~-]/;

/**
 * Brings an origin-form target into one form: unreserved characters decoded, other escapes in upper case, dot
 * segments and empty segments removed. The result is its own normal form.
 */
export function normalisePath(target: string): NormalisedPath {
  const mark = target.indexOf("?");
  const raw = mark < 0 ? target : target.slice(0, mark);
  const query = mark < 0 ? undefined : target.slice(mark + 1);
  if (!raw.includes("%") && !raw.includes("//") && !raw.includes("/.") && !raw.includes("\\")) {
    return { path: raw, query, ambiguity: undefined };
  }
  const unescaped = raw.replace(/%([0-9A-Fa-f]{2})/g, (escape, hex: string) => {
    const char = String.fromCharCode(Number.parseInt(hex, 16));
    return UNRESERVED.test(char) ? char : escape.toUpperCase();
  });
  return { path: removeDotSegments(unescaped), query, ambiguity: findAmbiguity(raw) };
}

function removeDotSegments(path: string): string {
  const kept: string[] = [];
  const segments = path.split("/").slice(1);
  for (const [index, segment] of segments.entries()) {
    const isLast = index === segments.length - 1;
    if (segment === "..") kept.pop();
    if (segment !== "." && segment !== ".." && segment !== "") kept.push(segment);
    else if (isLast) kept.push("");
  }
  return `/${kept.join("/")}`;
}

function findAmbiguity(raw: string): string | undefined {
  if (raw.includes("\\")) return "backslash";
  if (/%(?![0-9A-Fa-f]{2})/.test(raw)) return "broken escape";
  if (/%(?:2f|5c|00|25)/i.test(raw)) return "encoded separator";
  if (/%[01][0-9A-Fa-f]|%7f/i.test(raw)) return "encoded control character";
  try {
    decoder.decode(Uint8Array.from(unescapeAll(raw), (char) => char.charCodeAt(0)));
    return undefined;
  } catch {
    return "invalid UTF-8";
  }
}

function unescapeAll(text: string): string {
  return text.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

/** A compiled path pattern: `*` one segment, `**` any number. */
export interface PathPattern {
  readonly segments: readonly string[];
}

/** Parses a pattern that starts with `/` (or is `*` or `**`: everything). `undefined` when it is none. */
export function parsePathPattern(text: string): PathPattern | undefined {
  if (text === "*" || text === "**") return { segments: ["**"] };
  if (!text.startsWith("/") || /[?#\s]/.test(text)) return undefined;
  return { segments: decodePath(normalisePath(text).path).split("/").slice(1) };
}

/** Whether a normalised path falls under the pattern; each segment with and without its `;` parameters. */
export function matchPath({ segments }: PathPattern, path: string): boolean {
  return matchFrom(segments, decodePath(path).split("/").slice(1));
}

// Two pointers and one remembered `**` keep the work at |pattern| × |path| in the worst case.
function matchFrom(pattern: readonly string[], path: readonly string[]): boolean {
  let at = 0;
  let step = 0;
  let star = -1;
  let mark = 0;
  while (at < path.length) {
    if (pattern[step] === "**") {
      star = step;
      mark = at;
      step += 1;
    } else if (step < pattern.length && matchSegment(pattern[step] ?? "", path[at] ?? "")) {
      step += 1;
      at += 1;
    } else if (star >= 0) {
      step = star + 1;
      mark += 1;
      at = mark;
    } else return false;
  }
  while (pattern[step] === "**") step += 1;
  return step === pattern.length;
}

function matchSegment(pattern: string, segment: string): boolean {
  if (pattern === "*") return segment !== "";
  if (pattern === segment) return true;
  const parameters = segment.indexOf(";");
  return parameters >= 0 && pattern === segment.slice(0, parameters);
}

function decodePath(path: string): string {
  if (!path.includes("%")) return path;
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}
