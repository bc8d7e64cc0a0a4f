import { Problem } from "@gatehouse/core";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BodyReader } from "../../src/http1/body-reader.ts";
import { field } from "../../src/http1/fields.ts";
import { RequestHeadReader } from "../../src/http1/request-head-reader.ts";
import { ResponseHeadReader } from "../../src/http1/response-head-reader.ts";
import {
  encodeChunk,
  encodeLastChunk,
  serialiseRequestHead,
  serialiseResponseHead,
} from "../../src/http1/serialise.ts";
import { cutAt } from "./read-requests.ts";

const letters = (text: string, options: { minLength: number; maxLength: number }) =>
  fc.string({ unit: fc.constantFrom(...text), ...options });
const range = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, at) => String.fromCharCode(from + at)).join("");
const TOKEN = "!#$%&'*+-.^_`|~09azAZ";
const VALUE = `${range(0x21, 0x7e)}${range(0x80, 0xff)}`;

const value = letters(`${VALUE} \t`, { minLength: 0, maxLength: 40 }).map((text) =>
  text.replace(/^[ \t]+|[ \t]+$/g, ""),
);
const fields = fc.array(
  // The prefix keeps out the names that say something about framing.
  fc.tuple(letters(TOKEN, { minLength: 1, maxLength: 20 }), value).map(([name, text]) => field(`x${name}`, text)),
  { maxLength: 20 },
);
const target = letters(range(0x21, 0x7e).replace("#", ""), { minLength: 0, maxLength: 60 }).map((text) => `/${text}`);
const method = letters(range(0x41, 0x5a), { minLength: 1, maxLength: 12 }).filter((text) => text !== "CONNECT");

test("a request head that was written reads as it was meant", () => {
  fc.assert(
    fc.property(method, target, fields, (verb, path, sent) => {
      const head = { method: verb, target: path, fields: [field("Host", "example.com"), ...sent] };
      const result = new RequestHeadReader().push(serialiseRequestHead(head));
      expect(result).toMatchObject({ kind: "head", head, rest: { length: 0 } });
    }),
  );
});

test("a response head that was written reads as it was meant", () => {
  fc.assert(
    fc.property(fc.integer({ min: 200, max: 599 }), value, fields, (status, reason, sent) => {
      const head = { status, reason, fields: sent };
      const result = new ResponseHeadReader().push(serialiseResponseHead(head), { method: "GET" });
      expect(result).toMatchObject({ kind: "head", head, rest: { length: 0 } });
    }),
  );
});

test("chunks that were written give back their data and trailers, however they are split", () => {
  const data = fc.array(
    fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
    { maxLength: 8 },
  );
  fc.assert(
    fc.property(data, fields, fc.array(fc.nat(), { maxLength: 8 }), (pieces, trailers, places) => {
      const sent = Buffer.concat([...pieces.flatMap((piece) => [...encodeChunk(piece)]), encodeLastChunk(trailers)]);
      const body = new BodyReader({ kind: "chunked" });
      const steps = cutAt(
        sent,
        places.map((place) => place % (sent.length + 1)),
      ).map((piece) => body.push(piece));
      expect(Buffer.concat(steps.flatMap((step) => [...step.data]))).toEqual(Buffer.concat(pieces));
      expect(steps.at(-1)).toMatchObject({ state: "end", rest: { length: 0 }, trailers });
      expect(body.end()).toBe("complete");
    }),
  );
});

test("no data make no chunk: it would end the body", () => {
  expect(encodeChunk(Buffer.alloc(0))).toEqual([]);
});

describe("what would become another message is not written", () => {
  test.each(["a\r\nX: y", "a\nb", "a\rb", "a\0b", "\u010aX: y", "\u0100", "\x7f"])("the value %j", (text) => {
    expect(() => field("X", text)).toThrow(Problem);
    expect(() => field(`X${text}`, "y")).toThrow(Problem);
  });

  test.each(["/a b", "/a\r\nX: y", "/\u0120HTTP/1.1", ""])("the target %j", (path) => {
    expect(() => serialiseRequestHead({ method: "GET", target: path, fields: [] })).toThrow(Problem);
  });
});
