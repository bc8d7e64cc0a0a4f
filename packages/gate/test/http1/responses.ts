/** An answer, to a GET where nothing else is said, and what must become of it. */
export interface ResponseCase {
  readonly name: string;
  readonly method?: string;
  readonly bytes: string;
  readonly state: string;
  readonly body?: string;
  readonly rest?: string;
}

const ok = (fields: string, body = "") => `HTTP/1.1 200 OK\r\n${fields}\r\n${body}`;
const status = (line: string, fields = "", body = "") => `HTTP/1.1 ${line}\r\n${fields}\r\n${body}`;
const LENGTH = "Content-Length: 5\r\n";
const CHUNKED = "Transfer-Encoding: chunked\r\n";
const HELLO = "5\r\nhello\r\n0\r\n\r\n";

const refused = (why: string, table: Readonly<Record<string, string>>): readonly ResponseCase[] =>
  Object.entries(table).map(([name, bytes]) => ({ name, bytes, state: `refused: ${why}` }));

export const RESPONSES: readonly ResponseCase[] = [
  { name: "a length", bytes: ok(LENGTH, "hello"), state: "complete", body: "hello" },
  { name: "bytes behind a length", bytes: ok(LENGTH, "hello!"), state: "complete", body: "hello", rest: "!" },
  { name: "less than the length", bytes: ok(LENGTH, "hell"), state: "truncated", body: "hell" },
  { name: "a length of zero", bytes: ok("Content-Length: 0\r\n"), state: "complete", body: "" },
  { name: "chunks", bytes: ok(CHUNKED, HELLO), state: "complete", body: "hello" },
  {
    name: "chunks in another case",
    bytes: ok("transfer-encoding: Chunked\r\n", HELLO),
    state: "complete",
    body: "hello",
  },
  {
    name: "chunks with a trailer",
    bytes: ok(CHUNKED, "5\r\nhello\r\n0\r\nX: y\r\n\r\n!"),
    state: "complete",
    body: "hello",
    rest: "!",
  },
  { name: "chunks without an end", bytes: ok(CHUNKED, "5\r\nhello\r\n"), state: "truncated", body: "hello" },
  {
    name: "a last chunk without its empty line",
    bytes: ok(CHUNKED, "5\r\nhello\r\n0\r\n"),
    state: "truncated",
    body: "hello",
  },
  { name: "a body up to the connection's end", bytes: ok("", "hello"), state: "complete", body: "hello" },
  { name: "HTTP/1.0", bytes: "HTTP/1.0 200 OK\r\n\r\nhello", state: "complete", body: "hello" },
  { name: "no reason", bytes: status("200", LENGTH, "hello"), state: "complete", body: "hello" },
  { name: "an empty reason", bytes: status("200 ", LENGTH, "hello"), state: "complete", body: "hello" },
  { name: "a reason above ASCII", bytes: status("200 \xe9t\xe9", LENGTH, "hello"), state: "complete", body: "hello" },
  { name: "an answer to HEAD with a length", method: "HEAD", bytes: ok(LENGTH), state: "complete", body: "" },
  { name: "an answer to HEAD with a coding", method: "HEAD", bytes: ok(CHUNKED), state: "complete", body: "" },
  {
    name: "an answer to HEAD with bytes behind it",
    method: "HEAD",
    bytes: ok(LENGTH, "hello"),
    state: "complete",
    rest: "hello",
  },
  { name: "204", bytes: status("204 No Content"), state: "complete", body: "" },
  { name: "204 with a length of zero", bytes: status("204 No Content", "Content-Length: 0\r\n"), state: "complete" },
  { name: "204 with bytes behind it", bytes: status("204 No Content", "", "x"), state: "complete", rest: "x" },
  {
    name: "304 with the length of what was not sent",
    bytes: status("304 Not Modified", LENGTH),
    state: "complete",
    body: "",
  },
  {
    name: "100 before the answer",
    bytes: status("100 Continue") + ok(LENGTH, "hello"),
    state: "complete",
    body: "hello",
  },
  {
    name: "103 before the answer",
    bytes: status("103 Early Hints", "Link: </a>\r\n") + ok(LENGTH, "hello"),
    state: "complete",
    body: "hello",
  },
  { name: "half a head", bytes: "HTTP/1.1 200 OK\r\nContent-", state: "truncated" },
  { name: "nothing", bytes: "", state: "truncated" },
  ...refused("both length and transfer coding", {
    "CL.TE": ok(LENGTH + CHUNKED, HELLO),
    "TE.CL": ok(CHUNKED + LENGTH, HELLO),
  }),
  ...refused("repeated length", {
    "two lengths": ok(`${LENGTH}Content-Length: 6\r\n`, "hello"),
    "one length twice": ok(LENGTH + LENGTH, "hello"),
  }),
  ...refused("malformed length", {
    "a list of lengths": ok("Content-Length: 5, 5\r\n", "hello"),
    "a negative length": ok("Content-Length: -5\r\n", "hello"),
    "an empty length": ok("Content-Length: \r\n", "hello"),
    "an immense length": ok("Content-Length: 99999999999999999999\r\n", "hello"),
  }),
  ...refused("repeated transfer coding", { "two codings": ok(CHUNKED + CHUNKED, HELLO) }),
  ...refused("unknown transfer coding", {
    "gzip and chunked": ok("Transfer-Encoding: gzip, chunked\r\n", HELLO),
    "a coding of no name": ok("Transfer-Encoding:\r\n", HELLO),
    identity: ok("Transfer-Encoding: identity\r\n", "hello"),
  }),
  ...refused("transfer coding in HTTP/1.0", { "chunked in HTTP/1.0": `HTTP/1.0 200 OK\r\n${CHUNKED}\r\n${HELLO}` }),
  ...refused("framing field in another spelling", {
    "a length with an underscore": ok("Content_Length: 5\r\n", "hello"),
  }),
  ...refused("body where none may be", {
    "204 with a length": status("204 No Content", LENGTH, "hello"),
    "204 with a coding": status("204 No Content", CHUNKED, HELLO),
    "100 with a length": status("100 Continue", LENGTH, "hello"),
    "101 with a coding": status("101 Switching Protocols", CHUNKED, HELLO),
    "103 with a coding": status("103 Early Hints", CHUNKED, HELLO),
  }),
  ...refused("bare line feed", {
    "a status line ended by a line feed": "HTTP/1.1 200 OK\nContent-Length: 5\r\n\r\nhello",
    "a field ended by a line feed": ok("X: y\nContent-Length: 5\r\n", "hello"),
    "a line feed before the head": `\n${ok(LENGTH, "hello")}`,
    "a chunk size ended by a line feed": ok(CHUNKED, "5\nhello\r\n0\r\n\r\n"),
  }),
  ...refused("bare carriage return", {
    "a carriage return within a value": ok("X: y\rz\r\n"),
    "a carriage return within the reason": status("200 O\rK", LENGTH, "hello"),
  }),
  ...refused("folded field", {
    "a folded value": ok("X: y\r\n z\r\n"),
    "space before the first field": ok(" X: y\r\n"),
  }),
  ...refused("malformed field name", {
    "space before the colon": ok("Content-Length : 5\r\n", "hello"),
    "no colon": ok("hello\r\n"),
    "an empty name": ok(": y\r\n"),
  }),
  ...refused("malformed field value", { "a NUL in a value": ok("X: \0\r\n"), "a DEL in a value": ok("X: \x7f\r\n") }),
  ...refused("malformed status line", {
    "HTTP/2": "HTTP/2 200 OK\r\n\r\n",
    "HTTP/1.2": "HTTP/1.2 200 OK\r\n\r\n",
    "HTTP/0.9": "<html>\r\n\r\n",
    "another protocol": "ICY 200 OK\r\n\r\n",
    "a status of two digits": status("20 OK"),
    "a status of four digits": status("2000 OK"),
    "a status of no class": status("600 OK"),
    "a status below 100": status("099 OK"),
    "a status with a sign": status("+20 OK"),
    "two spaces before the status": status(" 200 OK"),
    "a tab before the status": "HTTP/1.1\t200 OK\r\n\r\n",
    "a reason without space": status("200OK"),
    "a NUL in the reason": status("200 O\0K"),
    "an escape in the reason": status("200 \x1b[31m"),
    "space before the status line": ` ${ok(LENGTH, "hello")}`,
    "an empty line before the status line": `\r\n${ok(LENGTH, "hello")}`,
    "an SSH greeting": "SSH-2.0-OpenSSH_9.2\r\n",
  }),
  ...refused("malformed chunk size", {
    "space behind a chunk size": ok(CHUNKED, "5 \r\nhello\r\n0\r\n\r\n"),
    "a chunk size with a prefix": ok(CHUNKED, "0x5\r\nhello\r\n0\r\n\r\n"),
  }),
  ...refused("chunk longer than its size", { "more data than the size says": ok(CHUNKED, "4\r\nhello\r\n0\r\n\r\n") }),
  ...refused("forbidden trailer", {
    "a cookie in the trailers": ok(CHUNKED, "0\r\nSet-Cookie: a=b\r\n\r\n"),
    "a length in the trailers": ok(CHUNKED, "0\r\nContent-Length: 5\r\n\r\n"),
  }),
  ...refused("too many fields", { "201 fields": ok("X: y\r\n".repeat(201)) }),
  ...refused("head too large", { "a head of more than 64 KiB": ok(`X: ${"y".repeat(66_000)}\r\n`) }),
];
