import { formatIpv4, parseIpv4 } from "./ipv4.ts";

/** The eight 16-bit groups of an IPv6 address without brackets or zone, or `undefined`. */
export function parseIpv6(text: string): readonly number[] | undefined {
  if (!/^[0-9a-f:.]{2,45}$/i.test(text)) return undefined;
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const head = parseGroups(halves[0] ?? "", halves.length === 1);
  const tail = halves.length === 2 ? parseGroups(halves[1] ?? "", true) : [];
  if (head === undefined || tail === undefined) return undefined;
  const missing = 8 - head.length - tail.length;
  if (halves.length === 1 ? missing !== 0 : missing < 1) return undefined;
  return [...head, ...new Array<number>(missing).fill(0), ...tail];
}

function parseGroups(text: string, mayEndInIpv4: boolean): number[] | undefined {
  if (text === "") return [];
  const groups: number[] = [];
  const parts = text.split(":");
  for (const [index, part] of parts.entries()) {
    if (part.includes(".")) {
      const address = /^\d+\.\d+\.\d+\.\d+$/.test(part) ? parseIpv4(part) : undefined;
      if (!mayEndInIpv4 || index !== parts.length - 1 || address === undefined) return undefined;
      groups.push(Math.floor(address / 65_536), address % 65_536);
    } else if (/^[0-9a-f]{1,4}$/i.test(part)) groups.push(Number.parseInt(part, 16));
    else return undefined;
  }
  return groups;
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

/** The IPv4 address that an IPv6 one carries: mapped, compatible, NAT64, 6to4, Teredo, ISATAP. */
export function embeddedIpv4(groups: readonly number[]): string | undefined {
  const at = (index: number) => formatIpv4((groups[index] ?? 0) * 65_536 + (groups[index + 1] ?? 0));
  const startsWith = (...prefix: readonly number[]) => prefix.every((group, index) => groups[index] === group);
  if (startsWith(0, 0, 0, 0, 0, 0xffff) || startsWith(0, 0, 0, 0, 0xffff, 0)) return at(6);
  if (startsWith(0, 0, 0, 0, 0, 0) && (groups[6] !== 0 || (groups[7] ?? 0) > 1)) return at(6);
  if (startsWith(0x64, 0xff9b, 0, 0, 0, 0) || startsWith(0x64, 0xff9b, 1)) return at(6);
  if (startsWith(0x2002)) return at(1);
  if (startsWith(0x2001, 0)) return formatIpv4((~(groups[6] ?? 0) & 0xffff) * 65_536 + (~(groups[7] ?? 0) & 0xffff));
  if ((groups[4] === 0 || groups[4] === 0x200) && groups[5] === 0x5efe) return at(6);
  return undefined;
}
