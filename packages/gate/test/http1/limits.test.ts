import { describe, expect, test } from "vitest";
import { HEAD_LIMITS } from "../../src/http1/messages.ts";
import { cutAt, readRequests } from "./read-requests.ts";

const { maxHeadBytes, maxTrailerBytes, maxChunkExtensionBytes, maxTargetBytes, maxFields } = HEAD_LIMITS;
const HEAD = "POST / HTTP/1.1\r\nHost: example.com\r\n";
const CHUNKED = `${HEAD}Transfer-Encoding: chunked\r\n\r\n`;
const END = "\r\n\r\n";

/** A message in which the bounded thing has exactly this size. */
const SIZED: Readonly<Record<string, readonly [number, (size: number) => string]>> = {
  "a head with its empty line": [maxHeadBytes, (size) => `${`${HEAD}X: `.padEnd(size - END.length, "y")}${END}`],
  "trailers with their line ends": [maxTrailerBytes, (size) => `${CHUNKED}0\r\n${"X: ".padEnd(size - 2, "y")}${END}`],
  "a chunk extension with its semicolon": [
    maxChunkExtensionBytes + 1,
    (size) => `${CHUNKED}1${";".padEnd(size, "e")}\r\nx\r\n0${END}`,
  ],
  "a target": [maxTargetBytes, (size) => HEAD.replace("/ ", `${"/".padEnd(size, "t")} `).concat("\r\n")],
  "fields in number": [maxFields, (size) => `${HEAD}${"X: y\r\n".repeat(size - 1)}\r\n`],
};
const CASES = Object.entries(SIZED).map(([name, [limit, make]]) => ({ name, limit, make }));

describe("a limit holds to the byte, however the message is split", () => {
  test.each(CASES)("$name: $limit", ({ limit, make }) => {
    const within = Buffer.from(make(limit));
    const above = Buffer.from(make(limit + 1));
    for (const places of [[], [1], [40], [within.length - 3], [within.length - 1], [9, 700, within.length - 2]]) {
      expect(readRequests(cutAt(within, places)).state).toBe("between");
      expect(readRequests(cutAt(above, places)).state).toMatch(/^refused: /);
    }
  });
});

test("what lies behind a head does not count against it", () => {
  const body = "x".repeat(2 * maxHeadBytes);
  const bytes = Buffer.from(`${HEAD}Content-Length: ${body.length}\r\n\r\n${body}${HEAD}\r\n`);
  for (const places of [[], [20], [70_000]]) {
    expect(readRequests(cutAt(bytes, places)).requests.map((request) => request.body.length)).toEqual([body.length, 0]);
  }
});
