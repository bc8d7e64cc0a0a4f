import { describe, expect, test } from "vitest";
import { ACCEPTED_REQUESTS } from "./accepted-requests.ts";
import { mutate, seededRandom } from "./mutate.ts";
import { readRequestsWithNode } from "./node-reading.ts";
import { cutAt, type ReadStream, readRequests } from "./read-requests.ts";
import { readResponse } from "./read-response.ts";
import { REFUSED_REQUESTS } from "./refused-requests.ts";
import { RESPONSES } from "./responses.ts";

const SEED = Number(process.env.FUZZ_SEED ?? 20_261_124);
const RUNS = Number(process.env.FUZZ_RUNS ?? 6_000);
const MAX_BYTES = 2_048;

const corpus = (cases: readonly { readonly bytes: string }[]) =>
  cases
    .filter(({ bytes }) => bytes.length > 0 && bytes.length < MAX_BYTES)
    .map(({ bytes }) => Buffer.from(bytes, "latin1"));
const REQUESTS = corpus([...ACCEPTED_REQUESTS, ...REFUSED_REQUESTS]);
/** Mostly good ones, so that much is passed on. */
const PASSING = corpus([...Array.from({ length: 20 }, () => ACCEPTED_REQUESTS).flat(), ...REFUSED_REQUESTS]);
const ANSWERS = corpus(RESPONSES);

/** Whole requests, in the form in which Node's reading is compared. */
function wholeRequests({ requests }: ReadStream): readonly object[] {
  return requests
    .filter(({ isWhole }) => isWhole)
    .map(({ head, body }) => ({
      line: `${head.method} ${head.target} 1.${head.minorVersion}`,
      fields: head.fields.flatMap(({ name, value }) => [name, value]),
      body,
      isWhole: true,
    }));
}

describe(`mutated messages (seed ${SEED})`, () => {
  test("requests are read alike whole and in pieces, and no head holds what could end a line", () => {
    const random = seededRandom(SEED);
    for (let run = 0; run < RUNS; run += 1) {
      const bytes = mutate(REQUESTS, random);
      const whole = readRequests([bytes]);
      const places = Array.from({ length: random(6) }, () => random(bytes.length + 1));
      expect(readRequests(cutAt(bytes, places)), bytes.toString("latin1")).toEqual(whole);
      for (const { head } of whole.requests) {
        const text = [head.method, head.target, ...head.fields.flatMap(({ name, value }) => [name, value])].join("");
        expect(text).not.toMatch(/[\0\r\n\x7f]/);
      }
    }
  });

  test("answers are read alike whole and in pieces", () => {
    const random = seededRandom(SEED + 1);
    for (let run = 0; run < RUNS; run += 1) {
      const bytes = mutate(ANSWERS, random);
      const method = random(5) === 0 ? "HEAD" : "GET";
      const places = Array.from({ length: random(6) }, () => random(bytes.length + 1));
      expect(readResponse(cutAt(bytes, places), method), bytes.toString("latin1")).toEqual(
        readResponse([bytes], method),
      );
    }
  });

  test("whatever the gate would pass on, Node reads in the same way or not at all", async () => {
    const random = seededRandom(SEED + 2);
    for (let run = 0; run < RUNS / 4; run += 1) {
      const bytes = mutate(PASSING, random);
      const stream = readRequests([bytes]);
      const passed = wholeRequests(stream);
      if (passed.length === 0 || stream.state === "switching") continue;
      const { messages, error } = await readRequestsWithNode(bytes);
      const read = messages.filter(({ isWhole }) => isWhole);
      expect(passed.slice(0, read.length), bytes.toString("latin1")).toEqual(read.slice(0, passed.length));
      if (error === undefined) expect(read.length, bytes.toString("latin1")).toBeGreaterThanOrEqual(passed.length);
    }
  });
});
