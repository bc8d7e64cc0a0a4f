import { equal, ok, deepStrictEqual as same } from "node:assert";
import type { RandomNumber } from "@gatehouse/testbed";
import { Scrubber } from "../../../packages/gate/src/scrub/scrubber.ts";
import { SoughtValues } from "../../../packages/gate/src/scrub/sought-values.ts";
import { mutate } from "../../../packages/gate/test/http1/mutate.ts";
import { cutAt } from "../../../packages/gate/test/http1/read-requests.ts";
import type { FuzzTarget } from "../fuzz-target.ts";

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
const sought = new SoughtValues(VALUES.map((value) => ({ value, overwrite: "#".repeat(Buffer.byteLength(value)) })));
const HASH = 35;
const corpus = [
  ...VALUES,
  "Authorization: Bearer real-value-one\r\n\r\n",
  '{"token":"sk-0123456789012345678901234567890123456789","n":1}',
  "aaaaaaaaaaabaaabaaabaaaaaaaa",
  "%72eal-value-one \\u0072eal-value-one &#x72;eal-value-one &#114;eal real\\x2dvalue-one",
  "%72%65%61%6c%2Dvalue-one\\/ \\n%25%2",
  "real-value-one-and-more real real-value-on real-value-one",
  "two\nlines of i\ntwo\nlines of it a value with  spaces a value with spaces",
].map((text) => Buffer.from(text));

/** Bodies with real values in them: none comes through, lengths stand, and the split does not show. */
export const target: FuzzTarget = {
  corpus,
  generate: (random) => mutate(corpus, random),
  check: (bytes, random) => {
    for (const isText of [true, false]) {
      const whole = scrubbed([bytes], isText);
      checkBytes(bytes, whole);
      same(scrubbed(cutAt(bytes, places(bytes, random)), isText), whole);
      if (!isText) continue;
      const head = Buffer.from(bytes);
      sought.scrubHead(head);
      same(head, whole);
    }
  },
};

function checkBytes(bytes: Buffer, out: Buffer): void {
  equal(out.length, bytes.length);
  for (const value of VALUES) ok(!out.includes(value), `${value} came through`);
  for (let at = 0; at < bytes.length; at += 1) ok(out[at] === bytes[at] || out[at] === HASH, "another byte changed");
}

function places(bytes: Buffer, random: RandomNumber): readonly number[] {
  return Array.from({ length: random(8) }, () => random(bytes.length + 1));
}

function scrubbed(pieces: readonly Buffer[], isText: boolean): Buffer {
  const scrubber = new Scrubber(sought, isText);
  return Buffer.concat([...pieces.map((piece) => scrubber.push(piece)), scrubber.end()]);
}
