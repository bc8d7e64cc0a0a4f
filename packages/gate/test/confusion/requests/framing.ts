import { type ConfusionCase, forwarded, refused, type Way } from "../confusion-case.ts";

const CHUNKED = "Transfer-Encoding: chunked\r\n";

/** Where a body ends, said once, twice or not at all. */
export function framingCases({ head }: Way): readonly ConfusionCase[] {
  const post = (fields: string, body = "") => `${head("POST /p", fields)}${body}`;
  const chunks = (body: string) => post(CHUNKED, body);
  const next = head("GET /next");
  const hidden = head("GET /hidden");
  return [
    ...forwarded({
      "a length": [post("Content-Length: 5\r\n", "hello"), length("hello")],
      "a length with leading zeros": [post("Content-Length: 0005\r\n", "hello"), length("hello")],
      "a length without a space": [post("Content-Length:5\r\n", "hello"), length("hello")],
      "a length between tabs": [post("Content-Length:\t5\t\r\n", "hello"), length("hello")],
      "a length of zero, then a request": [post("Content-Length: 0\r\n", next), length(""), "GET /next"],
      "no length at all, then a request": [post("", next), "POST /p", "GET /next"],
      "a request as a body": [post(`Content-Length: ${hidden.length}\r\n`, hidden), length(hidden)],
      "a request as a chunk": [
        chunks(`${hidden.length.toString(16)}\r\n${hidden}\r\n0\r\n\r\n`),
        chunkedMessage(hidden),
      ],
      "the last chunk as data": [chunks("5\r\n0\r\n\r\n\r\n0\r\n\r\n"), chunkedMessage("0\r\n\r\n")],
      "chunk sizes with leading zeros and capitals": [
        chunks(`00A\r\n0123456789\r\n000\r\n\r\n`),
        chunkedMessage("0123456789"),
      ],
      "a chunk size of fifteen digits": [chunks(`000000000000005\r\nhello\r\n0\r\n\r\n`), chunkedMessage("hello")],
      "chunk extensions": [chunks(`5;a=b;c="d;e"\r\nhello\r\n0;last\r\n\r\n`), chunkedMessage("hello")],
      "a chunk extension that looks like a size": [
        chunks(`5;0\r\nhello\r\n0\r\n\r\n${next}`),
        chunkedMessage("hello"),
        "GET /next",
      ],
      "many small chunks": [
        chunks(`${"1\r\nx\r\n".repeat(50)}0\r\n\r\n${next}`),
        chunkedMessage("x".repeat(50)),
        "GET /next",
      ],
      "no data in chunks, then a request": [chunks(`0\r\n\r\n${next}`), chunkedMessage(""), "GET /next"],
      "a trailer": [chunks("2\r\nhi\r\n0\r\nX-Sum: 1\r\n\r\n"), { ...chunkedMessage("hi"), trailers: ["X-Sum: 1"] }],
      "trailers that override, forward or authenticate": [
        chunks("2\r\nhi\r\n0\r\nX-Real-IP: 1.1.1.1\r\nVia: x\r\n\r\n"),
        chunkedMessage("hi"),
      ],
      "a GET with a body": [
        `${head("GET /g", "Content-Length: 5\r\n")}hello${next}`,
        { ...length("hello"), start: "GET /g" },
        "GET /next",
      ],
      "a DELETE in chunks": [
        `${head("DELETE /d", CHUNKED)}2\r\nhi\r\n0\r\n\r\n`,
        { ...chunkedMessage("hi"), start: "DELETE /d" },
      ],
      "a HEAD with a body": [
        `${head("HEAD /h", "Content-Length: 2\r\n")}hi${next}`,
        { ...length("hi"), start: "HEAD /h" },
        "GET /next",
      ],
      "an OPTIONS in chunks": [
        `${head("OPTIONS /o", CHUNKED)}2\r\nhi\r\n0\r\n\r\n`,
        { ...chunkedMessage("hi"), start: "OPTIONS /o" },
      ],
      "a length named by another field": [
        post("X-Content-Length: 99\r\nContent-Length: 2\r\n", "hi"),
        { ...length("hi"), fields: ["Content-Length: 2", "X-Content-Length: 99"] },
      ],
      "a length within a value": [
        head("GET /", "X: Content-Length: 5\r\n"),
        { start: "GET /", fields: ["X: Content-Length: 5"] },
      ],
    }),
    ...refused("gate.ambiguous_request", "closed", {
      "CL.TE": post(`Content-Length: 6\r\n${CHUNKED}`, `0\r\n\r\n${hidden}`),
      "TE.CL": post(`${CHUNKED}Content-Length: 4\r\n`, `5c\r\n${hidden}\r\n0\r\n\r\n`),
      "TE.0": post(`${CHUNKED}Content-Length: 0\r\n`, `5\r\nhello\r\n0\r\n\r\n${hidden}`),
      "CL.0 by two lengths": post("Content-Length: 0\r\nContent-Length: 5\r\n", `hello${hidden}`),
      "one length twice": post("Content-Length: 5\r\nContent-Length: 5\r\n", "hello"),
      "a list of equal lengths": post("Content-Length: 5, 5\r\n", "hello"),
      "TE.TE with an unknown coding first": post(`Transfer-Encoding: cow\r\n${CHUNKED}`, "0\r\n\r\n"),
      "TE.TE with identity last": post(`${CHUNKED}Transfer-Encoding: identity\r\n`, "0\r\n\r\n"),
      "a list of codings": post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"),
      "chunked twice in a list": post("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n"),
      "chunked in capitals": post("Transfer-Encoding: Chunked\r\n", "0\r\n\r\n"),
      "chunked behind a vertical tab": post("Transfer-Encoding:\vchunked\r\n", "0\r\n\r\n"),
      "chunked before a NUL": post("Transfer-Encoding: chunked\0\r\n", "0\r\n\r\n"),
      "chunked folded onto a next line": post("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n"),
      "a coding with a space before its colon": post("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"),
      "a coding with an underscore": post("Transfer_Encoding: chunked\r\n", "0\r\n\r\n"),
      "a length with an underscore": post("Content_Length: 5\r\n", "hello"),
      "a signed length": post("Content-Length: +5\r\n", "hello"),
      "a hexadecimal length": post("Content-Length: 0x5\r\n", "hello"),
      "a length that wraps around 2^64": post("Content-Length: 18446744073709551621\r\n", "hello"),
      "a bare line feed that hides a length": post("X: y\nContent-Length: 5\r\n", "hello"),
      "a bare carriage return that hides a coding": post(`X: y\r${CHUNKED}`, "0\r\n\r\n"),
      "an HTTP/1.0 request in chunks": post(CHUNKED, "0\r\n\r\n").replace("HTTP/1.1", "HTTP/1.0"),
    }),
    ...refused("gate.ambiguous_request", "closed", {
      "a chunk size with a sign": chunks(`+5\r\nhello\r\n0\r\n\r\n${hidden}`),
      "a negative chunk size": chunks(`-1\r\n${hidden}`),
      "a chunk size with 0x": chunks(`0x5\r\nhello\r\n0\r\n\r\n${hidden}`),
      "a chunk size with an underscore": chunks(`1_0\r\n0123456789abcdef\r\n0\r\n\r\n${hidden}`),
      "a space before a chunk size": chunks(` 5\r\nhello\r\n0\r\n\r\n${hidden}`),
      "a space behind a chunk size": chunks(`5 \r\nhello\r\n0\r\n\r\n${hidden}`),
      "a tab behind a chunk size": chunks(`5\t\r\nhello\r\n0\r\n\r\n${hidden}`),
      "an empty chunk size": chunks(`\r\nhello\r\n0\r\n\r\n${hidden}`),
      "a chunk extension without a size": chunks(`;a\r\nhello\r\n0\r\n\r\n${hidden}`),
      "a chunk size that wraps around 2^64": chunks(`10000000000000005\r\nhello\r\n0\r\n\r\n${hidden}`),
      "a chunk size that wraps around 2^32": chunks(`100000000000000005\r\nhello\r\n0\r\n\r\n${hidden}`),
      "a chunk size ended by a line feed": chunks(`5\nhello\r\n0\r\n\r\n${hidden}`),
      "a chunk size ended by a carriage return": chunks(`5\rhello\r\n0\r\n\r\n${hidden}`),
      "a chunk longer than its size": chunks(`5\r\nhello!\r\n0\r\n\r\n${hidden}`),
      "a chunk shorter than its size": chunks(`9\r\nhello\r\n0\r\n\r\n${hidden}`),
      "a chunk ended by a line feed": chunks(`5\r\nhello\n0\r\n\r\n${hidden}`),
      "a line feed within a chunk extension": chunks(`5;a\nb\r\nhello\r\n0\r\n\r\n${hidden}`),
      "a NUL within a chunk extension": chunks(`5;a\0\r\nhello\r\n0\r\n\r\n${hidden}`),
      "a last chunk ended by a line feed": chunks(`5\r\nhello\r\n0\n\r\n${hidden}`),
      "trailers ended by a line feed": chunks(`5\r\nhello\r\n0\r\n\n${hidden}`),
      "a last chunk without its empty line": chunks(`5\r\nhello\r\n0\r\n${hidden}`),
      "a trailer that states a length": chunks(`0\r\nContent-Length: 5\r\n\r\nhello`),
      "a trailer that states a coding": chunks(`0\r\n${CHUNKED}\r\n0\r\n\r\n`),
      "a trailer that routes": chunks("0\r\nHost: other.test\r\n\r\n"),
      "a trailer that authenticates": chunks("0\r\nAuthorization: mine\r\n\r\n"),
      "a folded trailer": chunks("0\r\nX: y\r\n z\r\n\r\n"),
    }),
    ...hungUp({
      "a body shorter than its length": post("Content-Length: 50\r\n", "hello"),
      "chunks without a last one": chunks("5\r\nhello\r\n"),
      "a last chunk without its end": chunks("5\r\nhello\r\n0\r\n"),
      "trailers without their end": chunks("5\r\nhello\r\n0\r\nX: y\r\n"),
      "a head without its empty line": head("GET /").slice(0, -2),
      "a head that ends in a carriage return": head("GET /").slice(0, -1),
    }),
  ];
}

function length(body: string) {
  return { start: "POST /p", fields: [`Content-Length: ${body.length}`], body };
}

function chunkedMessage(body: string) {
  return { start: "POST /p", fields: ["Transfer-Encoding: chunked"], body };
}

/** Nothing whole reaches the service, and nobody is answered. */
function hungUp(table: Readonly<Record<string, string>>): readonly ConfusionCase[] {
  return Object.entries(table).map(([name, sends]) => {
    return { name, sends, forwards: [], answers: [], end: "closed", hangsUp: true };
  });
}
