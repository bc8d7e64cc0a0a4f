import {
  brotliCompressSync,
  brotliDecompressSync,
  constants,
  gunzipSync,
  gzipSync,
  zstdCompressSync,
  zstdDecompressSync,
} from "node:zlib";
import { systemClock } from "@gatehouse/core";
import { describe, expect, test } from "vitest";
import { Scrubber } from "../../src/scrub/scrubber.ts";
import { SoughtValues } from "../../src/scrub/sought-values.ts";
import type { Coding } from "../../src/worker/body-coding.ts";
import { RecodedBody } from "../../src/worker/recoded-body.ts";
import { Recodings } from "../../src/worker/recodings.ts";

const recodings = new Recodings(Number.MAX_SAFE_INTEGER, systemClock);
const sought = new SoughtValues([{ value: "sk-live-0123", overwrite: "gh-placehold" }]);

const DECODE = { gzip: gunzipSync, br: brotliDecompressSync, zstd: zstdDecompressSync };

/** What comes out of a body that is given in these pieces, decoded; or why nothing does. */
function recode(coding: Coding, pieces: readonly Buffer[]): Promise<string> {
  const out: Buffer[] = [];
  return new Promise((resolve, reject) => {
    const scrubber = new Scrubber(sought);
    const body = new RecodedBody(
      { coding, scrubber, slot: recodings.open("run") },
      {
        onRecoded: (data) => out.push(data),
        onRoom: () => undefined,
        onWhole: () => resolve(DECODE[coding](Buffer.concat(out)).toString()),
        onUnreadable: (code) => resolve(code),
        onFault: reject,
      },
    );
    for (const piece of pieces) body.push(piece);
    body.end();
  });
}

const SKIPPABLE = Buffer.from("532a4d1803000000616263", "hex");
const EMPTY_SKIPPABLE = Buffer.from("502a4d1800000000", "hex");
const frame = (text: string, params: Record<number, number | boolean> = {}) => zstdCompressSync(text, { params });
const [first, second, third] = ["one sk-live-", "0123 two ", "three ".repeat(40)];
const frames = [
  frame(first),
  SKIPPABLE,
  frame(second, { [constants.ZSTD_c_checksumFlag]: 1 }),
  EMPTY_SKIPPABLE,
  frame(""),
  frame(third, { [constants.ZSTD_c_contentSizeFlag]: 0 }),
];
const members = [gzipSync(first), gzipSync(second), gzipSync(third)];
const whole = `one gh-placehold two ${third}`;
const reserved = frame(first);
reserved[4] = (reserved[4] ?? 0) | 0x08;

const BODIES = {
  "frames of zstd": ["zstd", Buffer.concat(frames), whole],
  "frames of zstd that are cut short": ["zstd", Buffer.concat(frames).subarray(0, -3), "gate.upstream_protocol"],
  "a frame of zstd and more": ["zstd", Buffer.concat([frame(first), Buffer.from("more")]), "gate.upstream_protocol"],
  "a frame of zstd with a reserved bit": ["zstd", reserved, "gate.upstream_protocol"],
  "members of gzip": ["gzip", Buffer.concat(members), whole],
  "a member of gzip and more": [
    "gzip",
    Buffer.concat([gzipSync(first), Buffer.from("more")]),
    "gate.upstream_protocol",
  ],
  "a body in br and more": [
    "br",
    Buffer.concat([brotliCompressSync(first), Buffer.alloc(3)]),
    "gate.upstream_protocol",
  ],
} as const satisfies Readonly<Record<string, readonly [Coding, Buffer, string]>>;

describe.each(Object.entries(BODIES))("%s", (_name, [coding, body, outcome]) => {
  test("come out the same wherever they are split", async () => {
    const splits = Array.from({ length: body.length }, (_, at) => [body.subarray(0, at), body.subarray(at)]);
    const bytes = Array.from(body, (byte) => Buffer.from([byte]));
    const pieces = [bytes, ...splits].map((split) => split.filter(({ length }) => length > 0));
    const outcomes = await Promise.all(pieces.map((split) => recode(coding, split)));
    expect(new Set(outcomes)).toEqual(new Set([outcome]));
  });
});
