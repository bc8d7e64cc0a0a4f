/**
 * Reads every spelling of an IPv4 address that resolvers accept (inet_aton): four parts or fewer, each decimal,
 * octal (`0…`) or hexadecimal (`0x…`). `undefined` when the text is none.
 */
export function parseIpv4(text: string): number | undefined {
  const numbers: number[] = [];
  for (const part of text.split(".")) {
    const number = parsePart(part);
    if (number === undefined) return undefined;
    numbers.push(number);
  }
  if (numbers.length > 4) return undefined;
  const last = numbers.pop() ?? 0;
  if (numbers.some((number) => number > 255) || last >= 256 ** (4 - numbers.length)) return undefined;
  return numbers.reduce((sum, number, index) => sum + number * 256 ** (3 - index), last);
}

function parsePart(part: string): number | undefined {
  if (/^0x0*[0-9a-f]{1,8}$/i.test(part)) return Number.parseInt(part.slice(2), 16);
  if (/^0+[0-7]{0,11}$/.test(part)) return Number.parseInt(part, 8);
  if (/^[1-9][0-9]{0,9}$/.test(part)) return Number(part);
  return undefined;
}

/** Dotted decimal. */
export function formatIpv4(address: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(address / 2 ** shift) % 256).join(".");
}

/** Whether the text is an IPv4 address in its one dotted form. */
export function isDottedIpv4(text: string): boolean {
  return /^(?:(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(?:\.(?!$)|$)){4}$/.test(text);
}
