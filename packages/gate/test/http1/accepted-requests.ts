/** What is sent, and the bodies of the requests that it is. */
export interface AcceptedCase {
  readonly name: string;
  readonly bytes: string;
  readonly bodies: readonly string[];
}

const HOST = "Host: example.com\r\n";
const get = (fields = "") => `GET / HTTP/1.1\r\n${HOST}${fields}\r\n`;
const post = (fields: string, body: string) => `POST /p HTTP/1.1\r\n${HOST}${fields}\r\n${body}`;
const line = (text: string) => `${text}\r\n${HOST}\r\n`;
const chunks = (body: string) => post("Transfer-Encoding: chunked\r\n", body);

export const ACCEPTED_REQUESTS: readonly AcceptedCase[] = [
  { name: "a request without a body", bytes: get(), bodies: [""] },
  {
    name: "three requests in a row",
    bytes: get() + post("Content-Length: 2\r\n", "hi") + get(),
    bodies: ["", "hi", ""],
  },
  { name: "a length", bytes: post("Content-Length: 5\r\n", "hello"), bodies: ["hello"] },
  { name: "a length with leading zeros", bytes: post("Content-Length: 0005\r\n", "hello"), bodies: ["hello"] },
  { name: "a length of zero", bytes: post("Content-Length: 0\r\n", get()), bodies: ["", ""] },
  { name: "a length of two zeros", bytes: post("Content-Length: 00\r\n", get()), bodies: ["", ""] },
  { name: "a length in a GET", bytes: get("Content-Length: 5\r\n").concat("hello", get()), bodies: ["hello", ""] },
  {
    name: "a request as the body of a request",
    bytes: post(`Content-Length: ${get().length}\r\n`, get()),
    bodies: [get()],
  },
  { name: "chunks", bytes: chunks("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"), bodies: ["hello world"] },
  {
    name: "a chunked request as data",
    bytes: chunks(`19\r\n0\r\n\r\nGET / HTTP/1.1\r\nX: y\r\n0\r\n\r\n`),
    bodies: ["0\r\n\r\nGET / HTTP/1.1\r\nX: y"],
  },
  {
    name: "a chunk size in capitals with leading zeros",
    bytes: chunks("00A\r\n0123456789\r\n00\r\n\r\n"),
    bodies: ["0123456789"],
  },
  { name: "a chunk size of 15 digits", bytes: chunks("000000000000005\r\nhello\r\n0\r\n\r\n"), bodies: ["hello"] },
  { name: "line ends as data", bytes: chunks("4\r\n\r\n\r\n\r\n0\r\n\r\n"), bodies: ["\r\n\r\n"] },
  { name: "a chunk extension", bytes: chunks('5;a=b;c="d"\r\nhello\r\n0;e\r\n\r\n'), bodies: ["hello"] },
  { name: "a long chunk extension", bytes: chunks(`5;${"a".repeat(1_024)}\r\nhello\r\n0\r\n\r\n`), bodies: ["hello"] },
  { name: "a trailer", bytes: chunks("5\r\nhello\r\n0\r\nX-Checksum: 1\r\n\r\n") + get(), bodies: ["hello", ""] },
  { name: "no data at all in chunks", bytes: chunks("0\r\n\r\n") + get(), bodies: ["", ""] },
  { name: "tabs and spaces around a value", bytes: get("X:\t y \t\r\n"), bodies: [""] },
  { name: "no space behind the colon", bytes: post("Content-Length:5\r\n", "hello"), bodies: ["hello"] },
  { name: "an empty value", bytes: get("X:\r\nY: \r\n"), bodies: [""] },
  { name: "bytes above ASCII in a value", bytes: get("X: \xe9\xff\r\n"), bodies: [""] },
  { name: "every letter of a token in a name", bytes: get("!#$%&'*+-.^_`|~09azAZ: y\r\n"), bodies: [""] },
  { name: "200 fields", bytes: get("X: y\r\n".repeat(199)), bodies: [""] },
  { name: "a Host with a port", bytes: "GET / HTTP/1.1\r\nHost: example.com:8080\r\n\r\n", bodies: [""] },
  { name: "a Host that is IPv6", bytes: "GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", bodies: [""] },
  { name: "a Host with a trailing dot", bytes: "GET / HTTP/1.1\r\nHost: example.com.\r\n\r\n", bodies: [""] },
  { name: "HTTP/1.0 without Host", bytes: "GET / HTTP/1.0\r\n\r\n", bodies: [""] },
  {
    name: "HTTP/1.0 with keep-alive",
    bytes: `GET / HTTP/1.0\r\n${HOST}Connection: Keep-Alive\r\n\r\n${get()}`,
    bodies: ["", ""],
  },
  { name: "what follows a request that closes", bytes: get("Connection: close\r\n") + get(), bodies: [""] },
  { name: "close among other options", bytes: get("Connection: keep-alive, Close\r\n") + get(), bodies: [""] },
  { name: "absolute-form", bytes: line("GET http://example.com/a?b HTTP/1.1"), bodies: [""] },
  { name: "absolute-form with the default port", bytes: line("GET http://EXAMPLE.com:80/ HTTP/1.1"), bodies: [""] },
  { name: "absolute-form without a path", bytes: line("GET http://example.com?x HTTP/1.1"), bodies: [""] },
  { name: "asterisk-form", bytes: line("OPTIONS * HTTP/1.1"), bodies: [""] },
  { name: "a long target", bytes: line(`GET /${"a".repeat(32_700)} HTTP/1.1`), bodies: [""] },
  {
    name: "odd but legal letters in a target",
    bytes: line("GET /a\"b<c>d\\e^f`g{h|i}%zz?//'?? HTTP/1.1"),
    bodies: [""],
  },
  { name: "an expectation", bytes: post("Expect: 100-Continue\r\nContent-Length: 2\r\n", "hi"), bodies: ["hi"] },
  { name: "an upgrade that nobody takes", bytes: get("Connection: Upgrade\r\nUpgrade: websocket\r\n"), bodies: [""] },
  { name: "a WebDAV method", bytes: line("PROPFIND / HTTP/1.1"), bodies: [""] },
];
