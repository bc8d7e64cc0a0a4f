import type { RandomNumber } from "@gatehouse/testbed";

// What parsers trip over; more often than chance would bring it.
const SEEDS = [
  "\r\n",
  "\n",
  "\r",
  "\r\n\r\n",
  "\0",
  " ",
  "\t",
  ":",
  ";",
  ",",
  "0",
  "00",
  "5",
  "ff",
  "-",
  "+",
  "0x",
  "\x0b",
  "\x7f",
  "\x85",
  "\xff",
  "chunked",
  "Content-Length: 5\r\n",
  "Content-Length: 0\r\n",
  "Transfer-Encoding: chunked\r\n",
  "Connection: close\r\n",
  "Host: example.com\r\n",
  "HTTP/1.0",
  "HTTP/1.1",
  "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n",
  "0\r\n\r\n",
  "X: y\r\n",
  "#",
  "?",
  "@",
].map((text) => Buffer.from(text, "latin1"));

const pick = <T>(from: readonly T[], random: RandomNumber): T | undefined => from[random(from.length)];

/** One to three messages of a corpus in a row, with a few changes. */
export function mutate(corpus: readonly Buffer[], random: RandomNumber): Buffer {
  const parts = Array.from({ length: 1 + random(3) }, () => pick(corpus, random) ?? Buffer.alloc(0));
  let bytes: Buffer = Buffer.concat(parts);
  for (let changes = random(4); changes > 0; changes -= 1) bytes = change(bytes, random);
  return bytes;
}

function change(bytes: Buffer, random: RandomNumber): Buffer {
  const at = random(bytes.length + 1);
  const end = at + random(8);
  const seed = pick(SEEDS, random) ?? Buffer.alloc(0);
  switch (random(5)) {
    case 0:
      return Buffer.concat([bytes.subarray(0, at), seed, bytes.subarray(at)]);
    case 1:
      return Buffer.concat([bytes.subarray(0, at), seed, bytes.subarray(end)]);
    case 2:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(end)]);
    case 3:
      return Buffer.concat([bytes.subarray(0, at), Buffer.from([random(256)]), bytes.subarray(at + 1)]);
    default:
      return Buffer.concat([bytes.subarray(0, end), bytes.subarray(at)]);
  }
}
