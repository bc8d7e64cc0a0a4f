import { type ConfusionCase, forwarded, refused, type Way } from "../confusion-case.ts";

const KEPT = { start: "GET /", fields: ["X-Kept: 1"] };

/** Fields that speak of one connection, that override or authenticate, and lines that are no fields. */
export function fieldCases({ head, other }: Way): readonly ConfusionCase[] {
  const get = (...fields: readonly string[]) =>
    head("GET /", `${fields.map((one) => `${one}\r\n`).join("")}X-Kept: 1\r\n`);
  const dropped = (table: Readonly<Record<string, readonly string[]>>) =>
    forwarded(Object.fromEntries(Object.entries(table).map(([name, fields]) => [name, [get(...fields), KEPT]])));
  const malformed = (table: Readonly<Record<string, string>>) =>
    refused(
      "gate.ambiguous_request",
      "closed",
      Object.fromEntries(Object.entries(table).map(([name, field]) => [name, head("GET /", field)])),
    );
  const body = (fields: string) => `${head("POST /", `${fields}Content-Length: 2\r\n`)}hi`;
  const framed = { start: "POST /", fields: ["Content-Length: 2"], body: "hi" };
  return [
    ...dropped({
      "Connection that names Authorization": ["Connection: authorization"],
      "Connection that names Host": ["Connection: Host"],
      "Connection that names an own field": ["Connection: keep-alive, X-Own", "X-Own: 1"],
      "Connection twice": ["Connection: X-One", "Connection: X-Two", "X-One: 1", "X-Two: 2"],
      "Connection with empty members": ["Connection: ,, X-Own ,", "x-own: 1"],
      "Keep-Alive": ["Connection: keep-alive", "Keep-Alive: timeout=600, max=1000"],
      "Proxy-Connection": ["Proxy-Connection: close"],
      "Proxy fields of one's own": ["Proxy-Authentication-Info: x", "Proxy-Foo: x"],
      TE: ["TE: trailers, deflate;q=0.5", "Connection: TE"],
      Trailer: ["Trailer: Content-Length"],
      "an upgrade to h2c": ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"],
      "an upgrade to h2c without Connection": ["Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"],
      "an upgrade to HTTP/2.0": ["Connection: Upgrade", "Upgrade: HTTP/2.0"],
      "an upgrade to TLS": ["Connection: Upgrade", "Upgrade: TLS/1.0"],
      "a list of upgrades": ["Connection: Upgrade", "Upgrade: websocket, h2c"],
      "two upgrades": ["Connection: Upgrade", "Upgrade: websocket", "Upgrade: h2c"],
      "method overrides": ["X-HTTP-Method-Override: DELETE", "X-HTTP-Method: PUT", "X-Method-Override: PUT"],
      "URL overrides": ["X-Original-URL: /admin", "X-Rewrite-URL: /admin", "X-Original-URI: /admin"],
      "forwarding fields": [
        "X-Forwarded-For: 127.0.0.1",
        "Forwarded: for=127.0.0.1",
        "X-Real-IP: 127.0.0.1",
        "Via: 1.1 x",
      ],
      "forwarding fields with underscores": ["X_Forwarded_For: 127.0.0.1", "X_REAL_IP: 127.0.0.1"],
      "one's own authentication": [
        "Authorization: Bearer mine",
        "authorization: mine",
        "Cookie: a=b",
        "X-Api-Key: mine",
      ],
      "one's own authentication with underscores": ["X_API_KEY: mine", "Api_Key: mine"],
      "a granted header in another spelling": ["AUTHORIZATION: mine", "aUTHORIZATION: mine"],
    }),
    ...forwarded({
      "Connection that names Content-Length": [body("Connection: Content-Length\r\n"), framed],
      "Connection that names Transfer-Encoding": [
        `${head("POST /", "Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n")}2\r\nhi\r\n0\r\n\r\n`,
        { ...framed, fields: ["Transfer-Encoding: chunked"] },
      ],
      "an upgrade to WebSocket that is not taken": [
        get("Connection: Upgrade", "Upgrade: websocket"),
        { start: "GET /", fields: ["Connection: Upgrade", "Upgrade: websocket", "X-Kept: 1"] },
      ],
      "bytes above ASCII in a value": [head("GET /", "X: \xe9\xff\r\n"), { start: "GET /", fields: ["X: \xe9\xff"] }],
      "a tab within a value": [head("GET /", "X: a\tb\r\n"), { start: "GET /", fields: ["X: a\tb"] }],
      "an empty value": [head("GET /", "X:\r\n"), { start: "GET /", fields: ["X: "] }],
      "a name of odd letters": [
        head("GET /", "!#$%&'*+-.^_`|~: y\r\n"),
        { start: "GET /", fields: ["!#$%&'*+-.^_`|~: y"] },
      ],
      "a value that looks like a line end": [
        head("GET /", "X: a\\r\\nHost: b\r\n"),
        { start: "GET /", fields: ["X: a\\r\\nHost: b"] },
      ],
      "Early-Data": [head("GET /", "Early-Data: 1\r\n"), { start: "GET /", fields: ["Early-Data: 1"] }],
    }),
    ...malformed({
      "a folded value": "X: a\r\n b\r\n",
      "a value folded with a tab": "X: a\r\n\tb\r\n",
      "a space before the colon": "X : a\r\n",
      "a tab before the colon": "X\t: a\r\n",
      "a space before the name": " X: a\r\n",
      "a NUL within a name": "X\0: a\r\n",
      "a NUL within a value": "X: a\0b\r\n",
      "a line feed within a value": `X: a\nHost: ${other}\r\n`,
      "a carriage return within a value": `X: a\rHost: ${other}\r\n`,
      "a line without a colon": "X\r\n",
      "a line with an empty name": ": a\r\n",
      "a name in quotes": '"Host": a\r\n',
      "a name outside ASCII": "H\xf6st: a\r\n",
      "a line of a space": " \r\n",
      "a second request line": `GET http://${other}/ HTTP/1.1\r\n`,
      "a pseudo-header": `:authority: ${other}\r\n`,
      "an escape within a value": "X: \x1b[31m\r\n",
      "a DEL within a value": "X: \x7f\r\n",
    }),
  ];
}
