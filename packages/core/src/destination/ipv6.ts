import { formatIpv4, isDottedIpv4, parseIpv4 } from "./ipv4.ts";

/** The eight 16-bit groups of an IPv6 address without brackets or zone, or `undefined`. */
export function parseIpv6(text: string): readonly number[] | undefined {
  if (!/^[0-9a-f:.]{2,45}$/i.test(text)) return undefined;
  const [before = "", after, ...more] = text.split("::");
  if (more.length > 0) return undefined;
  if (after === undefined) {
    const groups = parseGroups(before);
    return groups?.length === 8 ? groups : undefined;
  }
  const head = before.includes(".") ? undefined : parseGroups(before);
  const tail = parseGroups(after);
  if (head === undefined || tail === undefined || head.length + tail.length > 7) return undefined;
  return [...head, ...new Array<number>(8 - head.length - tail.length).fill(0), ...tail];
}

/** Groups of one side of `::`; its last part may be a dotted IPv4 address. */
function parseGroups(text: string): readonly number[] | undefined {
  if (text === "") return [];
  const parts = text.split(":");
  const dotted = parts.at(-1)?.includes(".") ? (parts.pop() ?? "") : undefined;
  if (!parts.every((part) => /^[0-9a-f]{1,4}$/i.test(part))) return undefined;
  const groups = parts.map((part) => Number.parseInt(part, 16));
  if (dotted === undefined) return groups;
  const address = isDottedIpv4(dotted) ? parseIpv4(dotted) : undefined;
  return address === undefined ? undefined : [...groups, Math.floor(address / 65_536), address % 65_536];
}

/** RFC 5952 text: lower case, the longest run of zero groups (two or more, the first of equals) shortened. */
export function formatIpv6(groups: readonly number[]): string {
  let best = { start: -1, length: 1 };
  let start = -1;
  for (const [index, group] of [...groups, 1].entries()) {
    if (group === 0) start = start < 0 ? index : start;
    else {
      if (start >= 0 && index - start > best.length) best = { start, length: index - start };
      start = -1;
    }
  }
  const text = (part: readonly number[]) => part.map((group) => group.toString(16)).join(":");
  if (best.start < 0) return text(groups);
  return `${text(groups.slice(0, best.start))}::${text(groups.slice(best.start + best.length))}`;
}

/** One way to carry an IPv4 address inside an IPv6 one. */
interface Embedding {
  /** Groups that must stand at the given places; the mask says which of their bits count. */
  readonly marks: readonly (readonly [place: number, value: number, mask?: number])[];
  /** Which four of the sixteen bytes are the address. */
  readonly bytes: readonly number[];
  /** Teredo keeps its client's address with every bit flipped (RFC 4380 §4). */
  readonly isInverted?: true;
}

const LOW: readonly number[] = [12, 13, 14, 15];
const ZERO_PREFIX = [0, 1, 2, 3].map((place) => [place, 0] as const);
// RFC 8215 leaves the length of the local-use NAT64 prefix open, so every layout of RFC 6052 §2.2 is looked at.
const LOCAL_NAT64 = [
  [0, 0x64],
  [1, 0xff9b],
  [2, 1],
] as const;

const EMBEDDINGS: readonly Embedding[] = [
  // Mapped (RFC 4291), compatible (deprecated there), translated (RFC 2765).
  { marks: [...ZERO_PREFIX, [4, 0], [5, 0xffff]], bytes: LOW },
  { marks: [...ZERO_PREFIX, [4, 0], [5, 0]], bytes: LOW },
  { marks: [...ZERO_PREFIX, [4, 0xffff], [5, 0]], bytes: LOW },
  // NAT64 with the well-known prefix (RFC 6052).
  { marks: [[0, 0x64], [1, 0xff9b], ...[2, 3, 4, 5].map((place) => [place, 0] as const)], bytes: LOW },
  { marks: LOCAL_NAT64, bytes: LOW },
  { marks: LOCAL_NAT64, bytes: [6, 7, 9, 10] },
  { marks: LOCAL_NAT64, bytes: [7, 9, 10, 11] },
  { marks: LOCAL_NAT64, bytes: [9, 10, 11, 12] },
  // 6to4 (RFC 3056); Teredo (RFC 4380), its server and its client.
  { marks: [[0, 0x2002]], bytes: [2, 3, 4, 5] },
  {
    marks: [
      [0, 0x2001],
      [1, 0],
    ],
    bytes: [4, 5, 6, 7],
  },
  {
    marks: [
      [0, 0x2001],
      [1, 0],
    ],
    bytes: LOW,
    isInverted: true,
  },
  // ISATAP (RFC 5214) under any prefix, whatever its universal and group bits say.
  {
    marks: [
      [4, 0, 0xfcff],
      [5, 0x5efe],
    ],
    bytes: LOW,
  },
];

/** Every IPv4 address, dotted, that an IPv6 one may lead to: mapped, compatible, NAT64, 6to4, Teredo, ISATAP. */
export function embeddedIpv4(groups: readonly number[]): readonly string[] {
  const byteAt = (place: number) => ((groups[place >> 1] ?? 0) >> (place % 2 === 0 ? 8 : 0)) & 0xff;
  return EMBEDDINGS.filter(({ marks }) =>
    marks.every(([place, value, mask = 0xffff]) => ((groups[place] ?? 0) & mask) === value),
  ).map(({ bytes, isInverted }) =>
    formatIpv4(bytes.reduce((sum, place) => sum * 256 + (byteAt(place) ^ (isInverted ? 0xff : 0)), 0)),
  );
}
