import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ResponseHeadReader } from "../../src/http1/response-head-reader.ts";
import { cutAt, cutEverywhere } from "./read-requests.ts";
import { readResponse } from "./read-response.ts";
import { RESPONSES } from "./responses.ts";

const latin1 = (text: string) => Buffer.from(text, "latin1");

describe("an answer has one reading or none", () => {
  test.each(RESPONSES)("$name: $state", ({ bytes, method = "GET", state, body, rest }) => {
    const whole = readResponse([latin1(bytes)], method);
    expect(whole.state).toBe(state);
    if (body !== undefined) expect(whole.body).toBe(body);
    expect(whole.rest).toBe(rest ?? "");
    expect(readResponse(cutEverywhere(latin1(bytes)), method)).toEqual(whole);
  });
});

test("how an answer is read does not depend on how its bytes were split", () => {
  const table = RESPONSES.filter(({ bytes }) => bytes.length < 4_096);
  fc.assert(
    fc.property(
      fc.constantFrom(...table),
      fc.array(fc.nat(), { maxLength: 12 }),
      ({ bytes, method = "GET" }, places) => {
        const cuts = places.map((place) => place % (bytes.length + 1));
        expect(readResponse(cutAt(latin1(bytes), cuts), method)).toEqual(readResponse([latin1(bytes)], method));
      },
    ),
    { numRuns: 500 },
  );
});

describe("whether the connection goes on", () => {
  const persists = (text: string) => {
    const result = new ResponseHeadReader().push(latin1(text), { method: "GET" });
    return result.kind === "head" ? result.head.isPersistent : undefined;
  };

  test.each([
    ["HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true],
    ["HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", false],
    ["HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\nConnection: Close\r\n\r\n", false],
    ["HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", false],
    ["HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: Keep-Alive\r\n\r\n", true],
    ["HTTP/1.1 200 OK\r\n\r\n", false],
  ])("%j: %s", (text, expected) => {
    expect(persists(text)).toBe(expected);
  });
});
