/** A request's path as it is matched and sent, and whether it has exactly one reading. */
export interface NormalisedPath {
  readonly path: string;
  /** Without its `?`; `undefined` when there was none. Kept as sent. */
  readonly query: string | undefined;
  /** Why servers may read the path in more than one way; refused where a path rule holds. */
  readonly ambiguity: PathAmbiguity | undefined;
}

/** Reasons why a path can be read in two ways. */
export type PathAmbiguity =
  | "encoded slash"
  | "encoded backslash"
  | "encoded control character"
  | "double encoding"
  | "broken escape"
  | "invalid UTF-8"
  | "backslash"
  | "fragment"
  | "byte outside ASCII"
  | "parameters on a dot or empty segment"
  | "parent of an encoded slash"
  | "no leading slash";

// Segments of harmless characters that do not begin with a dot: most paths, and nothing to do for them.
const PLAIN = /^(?:\/[A-Za-z0-9_~!$&'()*+,=:@-][A-Za-z0-9._~!$&'()*+,=:@-]*)*\/?$/;
const ESCAPE = /%([0-9A-Fa-f]{2})/g;
const ENCODED_SLASH = /%2f/gi;
const PARENT = /\/\.\.(?:\/|$)/;
// RFC 3986 §2.3: encoded or not, these are the same character.
const UNRESERVED = /^[A-Za-z0-9._~-]$/;

// On the path after unreserved characters were decoded: `%25%32%66` is `%252f`.
const AMBIGUITIES: readonly (readonly [PathAmbiguity, RegExp])[] = [
  ["no leading slash", /^(?!\/)/],
  ["byte outside ASCII", /[^\x21-\x7e]/],
  ["backslash", /\\/],
  ["fragment", /#/],
  ["broken escape", /%(?![0-9A-Fa-f]{2})/],
  ["double encoding", /%25[0-9A-Fa-f]{2}/],
  ["encoded backslash", /%5c/i],
  ["encoded control character", /%(?:[01][0-9A-Fa-f]|7f)/i],
  // Java servers drop the parameters first and then see `..` (or nothing) where others see a name.
  ["parameters on a dot or empty segment", /(?:\/|%2f)\.{0,2}(?:;|%3b)/i],
];

/**
 * Brings an origin-form target into one form: unreserved characters decoded, dot segments and empty segments removed.
 * Everything else stays as it was sent, and the result is its own normal form: what is matched is what goes out. A
 * path that has no single reading is left alone, save that one whose slashes are encoded (a registry's scoped names)
 * is cleaned as if these were part of their segments.
 */
export function normalisePath(target: string): NormalisedPath {
  const mark = target.indexOf("?");
  const raw = mark < 0 ? target : target.slice(0, mark);
  const query = mark < 0 ? undefined : target.slice(mark + 1);
  if (raw !== "" && PLAIN.test(raw)) return { path: raw, query, ambiguity: undefined };
  const text = raw.replace(ESCAPE, (escaped, hex: string) => {
    const char = String.fromCharCode(Number.parseInt(hex, 16));
    return UNRESERVED.test(char) ? char : escaped;
  });
  const ambiguity = findAmbiguity(raw) ?? findAmbiguity(text);
  if (ambiguity !== undefined) return { path: raw, query, ambiguity };
  return {
    path: removeDotSegments(text),
    query,
    ambiguity: text.search(ENCODED_SLASH) < 0 ? undefined : "encoded slash",
  };
}

function findAmbiguity(path: string): PathAmbiguity | undefined {
  const found = AMBIGUITIES.find(([, sign]) => sign.test(path))?.[0];
  if (found !== undefined) return found;
  // `..` behind it takes one segment to some and half of it to others. In two steps: one pattern for both would take a
  // long path a second to be found in, and with it everybody who is served by the same process.
  const slash = path.search(ENCODED_SLASH);
  if (slash >= 0 && PARENT.test(path.slice(slash))) return "parent of an encoded slash";
  try {
    // Refuses overlong forms and encoded surrogates too.
    decodeURIComponent(path);
    return undefined;
  } catch {
    return "invalid UTF-8";
  }
}

/** RFC 3986 §5.2.4, with empty segments dropped before `..` takes its parent; a trailing slash stays. */
function removeDotSegments(path: string): string {
  const kept: string[] = [];
  const segments = path.split("/").slice(1);
  const last = segments.at(-1) ?? "";
  for (const segment of segments) {
    if (segment === "..") kept.pop();
    else if (segment !== "." && segment !== "") kept.push(segment);
  }
  const isFolder = kept.length > 0 && (last === "" || last === "." || last === "..");
  return `/${kept.join("/")}${isFolder ? "/" : ""}`;
}

/** One reading of a path: its segments, decoded once. A trailing slash makes no segment. */
export type PathReading = readonly string[];

/**
 * The ways in which servers read a path that has no ambiguity, or none but encoded slashes: these are part of a
 * segment to some (registries, project names) and separators to others.
 */
export function readPath({ path }: NormalisedPath): readonly PathReading[] {
  const literal = readSegments(path);
  const separated = path.replace(ENCODED_SLASH, "/");
  return separated === path ? [literal] : [literal, readSegments(removeDotSegments(separated))];
}

function readSegments(path: string): PathReading {
  const segments = path.split("/").slice(1);
  if (segments.at(-1) === "") segments.pop();
  return path.includes("%") ? segments.map(decodeURIComponent) : segments;
}

/** A reading for those to whom the case of a path means nothing. */
export function foldReading(reading: PathReading): PathReading {
  return reading.map((segment) => segment.toLowerCase());
}

// Some frameworks take the end of a path for the form of the answer: `/tokens.json` is `/tokens` to them.
const FORMAT = /\.[a-z0-9]{1,16}(?=;|$)/i;

/** The reading without the form of the answer that its last segment names; none where it names none. */
export function dropFormat(reading: PathReading): readonly PathReading[] {
  const last = reading.at(-1) ?? "";
  return FORMAT.test(last) ? [reading.with(-1, last.replace(FORMAT, ""))] : [];
}
