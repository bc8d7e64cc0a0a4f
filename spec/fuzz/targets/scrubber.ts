import { equal, ok, deepStrictEqual as same } from "node:assert";
import { Scrubber } from "../../../packages/gate/src/scrub/scrubber.ts";
import { cutAt } from "../../../packages/gate/test/http1/read-requests.ts";
import type { FuzzTarget } from "../fuzz-target.ts";
import { mutate, type RandomNumber } from "../mutate-bytes.ts";

const VALUES = [
  "real",
  "real-value-one",
  "value-one-and-more",
  "aaaaaaaa",
  "aabaaabaa",
  "a value with spaces",
  "two\nlines of it",
  "\xe9\xff-above-ascii",
  "sk-0123456789012345678901234567890123456789",
];
const scrub = VALUES.map((value) => ({ value, overwrite: "#".repeat(Buffer.byteLength(value)) }));
const corpus = [
  ...VALUES,
  "Authorization: Bearer real-value-one\r\n\r\n",
  '{"token":"sk-0123456789012345678901234567890123456789","n":1}',
  "aaaaaaaaaaabaaabaaabaaaaaaaa",
  "real-value-one-and-more real real-value-on real-value-one",
  "two\nlines of i\ntwo\nlines of it a value with  spaces a value with spaces",
].map((text) => Buffer.from(text));

/** Bodies with real values in them: none comes through, lengths stand, and the split does not show. */
export const target: FuzzTarget = {
  corpus,
  generate: (random) => mutate(corpus, random),
  check: (bytes, random) => {
    const whole = scrubbed([bytes]);
    equal(whole.length, bytes.length);
    for (const value of VALUES) ok(!whole.includes(Buffer.from(value)), `${value} came through`);
    for (let at = 0; at < bytes.length; at += 1)
      ok(whole[at] === bytes[at] || whole[at] === 35, "another byte changed");
    same(scrubbed(cutAt(bytes, places(bytes, random))), whole);
    same(new Scrubber(scrub).head(bytes.toString("latin1")), whole.toString("latin1"));
  },
};

function places(bytes: Buffer, random: RandomNumber): readonly number[] {
  return Array.from({ length: random(8) }, () => random(bytes.length + 1));
}

function scrubbed(pieces: readonly Buffer[]): Buffer {
  const scrubber = new Scrubber(scrub);
  return Buffer.concat([...pieces.map((piece) => scrubber.push(piece)), scrubber.end()]);
}
