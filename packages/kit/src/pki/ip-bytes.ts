import { isIP } from "node:net";

/** The 4 or 16 bytes of an IP address, as an iPAddress SAN holds them. Throws a `RangeError` for anything else. */
export function ipBytes(address: string): Buffer {
  switch (isIP(address)) {
    case 4:
      return Buffer.from(address.split(".").map(Number));
    case 6:
      return Buffer.from(expandGroups(address).flatMap((group) => [group >> 8, group & 0xff]));
    default:
      throw new RangeError("not an IP address");
  }
}

function expandGroups(address: string): readonly number[] {
  const [front = "", back] = withoutZone(address).split("::");
  const before = readGroups(front);
  if (back === undefined) return before;
  const after = readGroups(back);
  return [...before, ...Array<number>(8 - before.length - after.length).fill(0), ...after];
}

function withoutZone(address: string): string {
  return address.split("%", 1)[0] ?? address;
}

/** Groups of four hex digits; the last may be an IPv4 address, which makes two. */
function readGroups(text: string): readonly number[] {
  if (text === "") return [];
  return text.split(":").flatMap((group) => {
    if (!group.includes(".")) return [Number.parseInt(group, 16)];
    const [a = 0, b = 0, c = 0, d = 0] = group.split(".").map(Number);
    return [(a << 8) | b, (c << 8) | d];
  });
}
