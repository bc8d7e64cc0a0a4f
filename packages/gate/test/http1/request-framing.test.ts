import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ACCEPTED_REQUESTS } from "./accepted-requests.ts";
import { cutAt, cutEverywhere, readRequests } from "./read-requests.ts";
import { REFUSED_REQUESTS } from "./refused-requests.ts";

const latin1 = (text: string) => Buffer.from(text, "latin1");

describe("requests that two readers could read in two ways are refused", () => {
  test.each(REFUSED_REQUESTS)("$name: $why", ({ bytes, why }) => {
    expect(readRequests([latin1(bytes)]).state).toBe(`refused: ${why}`);
    expect(readRequests(cutEverywhere(latin1(bytes))).state).toBe(`refused: ${why}`);
  });

  test("there are many of them, and each has its name", () => {
    const names = REFUSED_REQUESTS.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    expect(names.length).toBeGreaterThan(200);
  });
});

describe("requests that have one reading are read", () => {
  test.each(ACCEPTED_REQUESTS)("$name", ({ bytes, bodies }) => {
    const whole = readRequests([latin1(bytes)]);
    expect(whole.requests.map(({ body }) => body)).toEqual(bodies);
    expect(whole.requests.every(({ isWhole }) => isWhole)).toBe(true);
    expect(readRequests(cutEverywhere(latin1(bytes)))).toEqual(whole);
  });
});

test("what is read does not depend on how the bytes were split", () => {
  const table = [...REFUSED_REQUESTS, ...ACCEPTED_REQUESTS]
    .map(({ bytes }) => bytes)
    .filter((one) => one.length < 4_096);
  const stream = fc
    .array(fc.constantFrom(...table), { minLength: 1, maxLength: 4 })
    .map((parts) => latin1(parts.join("")));
  fc.assert(
    fc.property(stream, fc.array(fc.nat(), { maxLength: 12 }), (bytes, places) => {
      const cuts = places.map((place) => place % (bytes.length + 1));
      expect(readRequests(cutAt(bytes, cuts))).toEqual(readRequests([bytes]));
    }),
    { numRuns: 1_500 },
  );
});
