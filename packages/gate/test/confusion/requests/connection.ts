import { type ConfusionCase, type Forwarded, forwarded, refused, type Way } from "../confusion-case.ts";

/** Several requests in a row, expectations, versions, methods, limits. */
export function connectionCases(way: Way): readonly ConfusionCase[] {
  const { head, host, auth, target } = way;
  const next = head("GET /next");
  const versioned = (version: string, fields = "") =>
    `GET ${target("/v")} ${version}\r\nHost: ${host}\r\n${auth}${fields}\r\n`;
  const closing = (sends: string, message: string | Forwarded): Omit<ConfusionCase, "name"> => {
    const forwards = [typeof message === "string" ? { start: message } : message];
    return { sends, forwards, answers: [200], end: "closed" };
  };
  const post = `${head("POST /p", "Content-Length: 2\r\n")}hi`;
  const posted = { start: "POST /p", fields: ["Content-Length: 2"], body: "hi" };
  const chunked = `${head("POST /p", "Transfer-Encoding: chunked\r\n")}2\r\nhi\r\n0\r\n\r\n`;
  const chunkedPosted = { start: "POST /p", fields: ["Transfer-Encoding: chunked"], body: "hi" };
  const expecting = { ...posted, fields: ["Content-Length: 2", "Expect: 100-continue"] };
  const many = Array.from({ length: 20 }, (_, at) => `/${at}`);
  return [
    ...forwarded({
      "two requests": [`${head("GET /1")}${next}`, "GET /1", "GET /next"],
      "twenty requests": [many.map((path) => head(`GET ${path}`)).join(""), ...many.map((path) => `GET ${path}`)] as [
        string,
        ...string[],
      ],
      "requests with bodies in a row": [post + chunked + post + next, posted, chunkedPosted, posted, "GET /next"],
      "a HEAD among others": [`${head("GET /1")}${head("HEAD /2")}${next}`, "GET /1", "HEAD /2", "GET /next"],
      "a TRACE": [head("TRACE /t"), { start: "TRACE /t", hasNoCredential: true }],
      "an OPTIONS": [head("OPTIONS /o"), "OPTIONS /o"],
      "a WebDAV method": [head("PROPFIND /d"), "PROPFIND /d"],
      "a method of odd letters": [head("M-SEARCH /m"), "M-SEARCH /m"],
      "a method in small letters": [head("get /small"), "get /small"],
      "a body that is expected and comes at once": [
        `${head("POST /p", "Expect: 100-continue\r\nContent-Length: 2\r\n")}hi${next}`,
        expecting,
        "GET /next",
      ],
      "an expectation in capitals": [
        `${head("POST /p", "Expect: 100-Continue\r\nContent-Length: 2\r\n")}hi`,
        { ...expecting, fields: ["Content-Length: 2", "Expect: 100-Continue"] },
      ],
      "HTTP/1.0 with keep-alive": [versioned("HTTP/1.0", "Connection: keep-alive\r\n") + next, "GET /v", "GET /next"],
      "199 fields": [
        head("GET /", "X: y\r\n".repeat(way.kind === "front" ? 198 : 199)),
        { start: "GET /", fields: Array(way.kind === "front" ? 198 : 199).fill("X: y") },
      ],
    }),
    { name: "a request behind one that closes", ...closing(head("GET /1", "Connection: close\r\n") + next, "GET /1") },
    {
      name: "a request behind one that closes among other options",
      ...closing(head("GET /1", "Connection: keep-alive, CLOSE\r\n") + next, "GET /1"),
    },
    { name: "a request behind HTTP/1.0", ...closing(versioned("HTTP/1.0") + next, "GET /v") },
    { name: "HTTP/1.0 with a length", ...closing(`${post.replace("HTTP/1.1", "HTTP/1.0")}`, posted) },
    {
      name: "a request behind a malformed one",
      sends: `${head("GET /1")}${head("GET /2", "X : y\r\n")}${next}`,
      forwards: [{ start: "GET /1" }],
      answers: [200, "gate.ambiguous_request"],
      end: "closed",
    },
    {
      name: "a request behind a malformed body",
      sends: `${chunked.replace("0\r\n\r\n", "0x\r\n\r\n")}${next}`,
      forwards: [],
      answers: ["gate.ambiguous_request"],
      end: "closed",
    },
    {
      name: "a request behind too long a body",
      sends: `${post}!${next}`,
      forwards: [posted, { start: `!GET /next` }],
      answers: [200, 200],
      end: "open",
    },
    ...refused("gate.ambiguous_request", "closed", {
      "another expectation": `${head("POST /p", "Expect: 200-ok\r\nContent-Length: 2\r\n")}hi`,
      "an expectation with a parameter": `${head("POST /p", "Expect: 100-continue;x\r\nContent-Length: 2\r\n")}hi`,
      "two expectations": `${head("POST /p", "Expect: 100-continue\r\nExpect: 100-continue\r\nContent-Length: 2\r\n")}hi`,
      "an empty expectation": `${head("POST /p", "Expect:\r\nContent-Length: 2\r\n")}hi`,
      "HTTP/0.9": `GET ${target("/")}\r\n`,
      "HTTP/0.9, then a request": `GET ${target("/")}\r\n${next}`,
      "HTTP/1.2": versioned("HTTP/1.2"),
      "HTTP/1.10": versioned("HTTP/1.10"),
      "HTTP/01.1": versioned("HTTP/01.1"),
      "HTTP/2.0": versioned("HTTP/2.0"),
      "HTTP/1,1": versioned("HTTP/1,1"),
      "a version in small letters": versioned("http/1.1"),
      "no version number": versioned("HTTP/"),
      "another protocol's name": versioned("HTTPS/1.1"),
      "a space behind the version": versioned("HTTP/1.1 "),
      "the preface of HTTP/2": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
      "an empty line first": `\r\n${next}`,
      "a line feed first": `\n${next}`,
      "a space first": ` ${next}`,
      "a tab for a space": head("GET /").replace("GET ", "GET\t"),
      "two spaces": head("GET /").replace("GET ", "GET  "),
      "a HEAD in small letters": head("head /"),
      "a method in quotes": head('"GET" /'),
      "a method of 33 letters": head(`${"A".repeat(33)} /`),
      "a NUL in the method": head("GE\0T /"),
      "a target above 32 KiB": head(`GET /${"a".repeat(32_769)}`),
      "201 fields": head("GET /", "X: y\r\n".repeat(201)),
      "a head above 64 KiB": head("GET /", `X: ${"y".repeat(65_536)}\r\n`),
      "a chunk extension above 1 KiB": `${head("POST /", "Transfer-Encoding: chunked\r\n")}1;${"e".repeat(1_025)}\r\nx\r\n0\r\n\r\n`,
      "trailers above 8 KiB": `${head("POST /", "Transfer-Encoding: chunked\r\n")}0\r\nX: ${"y".repeat(8_192)}\r\n\r\n`,
    }),
  ];
}
