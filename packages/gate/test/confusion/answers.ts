import type { ResponseCase } from "../http1/responses.ts";

const SMUGGLED = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged";
const CHUNKED = "Transfer-Encoding: chunked\r\n";
const status = (line: string, fields = "", body = "") => `HTTP/1.1 ${line}\r\n${fields}\r\n${body}`;
const ok = (fields: string, body = "") => status("200 OK", fields, body);
const hello = ok("Content-Length: 5\r\n", "hello");
const chunks = (body: string) => ok(CHUNKED, body);
const interim = (count: number) => status("103 Early Hints", "Link: </a>\r\n").repeat(count);

/** Complete, with bytes behind them that nobody asked for. */
const followed = (table: Readonly<Record<string, readonly [string, string, string?]>>): readonly ResponseCase[] =>
  Object.entries(table).map(([name, [bytes, body, method = "GET"]]) => {
    return { name, method, bytes: bytes + SMUGGLED, state: "complete", body, rest: SMUGGLED };
  });

const refused = (why: string, table: Readonly<Record<string, string>>): readonly ResponseCase[] =>
  Object.entries(table).map(([name, bytes]) => ({ name, bytes, state: `refused: ${why}` }));

const truncated = (table: Readonly<Record<string, readonly [string, string]>>): readonly ResponseCase[] =>
  Object.entries(table).map(([name, [bytes, body]]) => ({ name, bytes, state: "truncated", body }));

/** What a service may answer to make the gate, or the client behind it, take one answer for another. */
export const CONFUSING_ANSWERS: readonly ResponseCase[] = [
  ...followed({
    "an answer behind a length": [hello, "hello"],
    "an answer behind a length of zero": [ok("Content-Length: 0\r\n"), ""],
    "an answer behind chunks": [chunks("5\r\nhello\r\n0\r\n\r\n"), "hello"],
    "an answer behind trailers": [chunks("5\r\nhello\r\n0\r\nX: y\r\n\r\n"), "hello"],
    "an answer behind 204": [status("204 No Content"), ""],
    "an answer behind 304": [status("304 Not Modified", "Content-Length: 5\r\n"), ""],
    "an answer behind 304 in chunks": [status("304 Not Modified", CHUNKED), ""],
    "an answer as the body of HEAD": [ok(`Content-Length: ${SMUGGLED.length}\r\n`), "", "HEAD"],
    "chunks as the body of HEAD": [ok(CHUNKED), "", "HEAD"],
    "an answer behind interim ones": [interim(3) + hello, "hello"],
    "an answer behind a body that is longer than its length": [`${hello}!`, "hello"],
  }).map((one) => (one.name.includes("longer") ? { ...one, rest: `!${SMUGGLED}` } : one)),
  {
    name: "an answer as a body up to the end",
    bytes: ok("", SMUGGLED),
    state: "complete",
    body: SMUGGLED,
  },
  {
    name: "an answer as a body of its length",
    bytes: ok(`Content-Length: ${SMUGGLED.length}\r\n`, SMUGGLED),
    state: "complete",
    body: SMUGGLED,
  },
  { name: "sixteen interim answers", bytes: interim(16) + hello, state: "complete", body: "hello" },
  { name: "100 that nobody waits for", bytes: status("100 Continue") + hello, state: "complete", body: "hello" },
  {
    name: "interim answers of several sorts",
    bytes: status("102 Processing") + interim(1) + status("100 Continue") + hello,
    state: "complete",
    body: "hello",
  },
  { name: "a last line feed as data", bytes: chunks("1\r\n\n\r\n0\r\n\r\n"), state: "complete", body: "\n" },
  { name: "chunk extensions", bytes: chunks('5;a="b"\r\nhello\r\n0;c\r\n\r\n'), state: "complete", body: "hello" },
  {
    name: "a length with leading zeros",
    bytes: ok("Content-Length: 005\r\n", "hello"),
    state: "complete",
    body: "hello",
  },
  {
    name: "hop-by-hop fields that name Content-Length",
    bytes: ok("Connection: Content-Length\r\nContent-Length: 5\r\n", "hello"),
    state: "complete",
    body: "hello",
  },
  {
    name: "a body up to the end beside Connection: keep-alive",
    bytes: ok("Connection: keep-alive\r\n", "hello"),
    state: "complete",
    body: "hello",
  },
  ...truncated({
    "fewer bytes than the length": [ok("Content-Length: 50\r\n", "hello"), "hello"],
    "an answer instead of the rest": [ok("Content-Length: 500\r\n", SMUGGLED), SMUGGLED],
    "chunks without a last one": [chunks("5\r\nhello\r\n"), "hello"],
    "a chunk cut short": [chunks("ff\r\nhello"), "hello"],
    "trailers cut short": [chunks("5\r\nhello\r\n0\r\nX: y\r\n"), "hello"],
    "an interim answer alone": [status("100 Continue"), ""],
    "a status line alone": ["HTTP/1.1 200 OK\r\n", ""],
  }),
  ...refused("both length and transfer coding", {
    "both framings, and an answer": ok(`Content-Length: 3\r\n${CHUNKED}`, `0\r\n\r\n${SMUGGLED}`),
  }),
  ...refused("repeated length", {
    "two lengths, and an answer": ok("Content-Length: 0\r\nContent-Length: 5\r\n", SMUGGLED),
  }),
  ...refused("folded field", { "a folded coding": ok("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n") }),
  ...refused("malformed status line", {
    "an answer behind an interim one, joined by a line": `${status("100 Continue")}\r\n${hello}`,
    "a request": "GET / HTTP/1.1\r\nHost: api.test\r\n\r\n",
    "a status line of HTTP/1.1 in small letters": "http/1.1 200 OK\r\n\r\n",
    "letters for a status": status("2OO OK"),
  }),
  ...refused("malformed chunk size", {
    "a chunk size with a sign": chunks("+5\r\nhello\r\n0\r\n\r\n"),
    "a chunk size with an underscore": chunks(`1_0\r\n0123456789abcdef\r\n0\r\n\r\n`),
    "no chunk size": chunks(`\r\nhello\r\n0\r\n\r\n`),
  }),
  ...refused("chunk too large", {
    "a chunk size that wraps around 2^64": chunks("10000000000000005\r\nhello\r\n0\r\n\r\n"),
  }),
  ...refused("bare line feed", { "a line feed for the last line": chunks("5\r\nhello\r\n0\r\n\n") }),
  ...refused("chunk extension too long", {
    "a chunk extension above 1 KiB": chunks(`5;${"e".repeat(1_025)}\r\nhello\r\n0\r\n\r\n`),
  }),
  ...refused("trailers too large", { "trailers above 8 KiB": chunks(`0\r\nX: ${"y".repeat(8_192)}\r\n\r\n`) }),
];
