import { seededRandom } from "@gatehouse/testbed";
import { expect, test } from "vitest";
import { SoughtValues } from "../../src/scrub/sought-values.ts";
import { WebSocketScrubber } from "../../src/scrub/websocket-scrubber.ts";

const VALUE = "sk-live-0123456789abcdef";
const STAND_IN = "gh-placeholder-012345678";

const open = () => new WebSocketScrubber(new SoughtValues([{ value: VALUE, overwrite: STAND_IN }]));

function frame(first: number, payload: string | Buffer): Buffer {
  const bytes = Buffer.from(payload);
  const size = bytes.length;
  const length =
    size < 126
      ? [size]
      : size < 65_536
        ? [126, size >> 8, size & 255]
        : [127, 0, 0, 0, 0, 0, size >> 16, (size >> 8) & 255, size & 255];
  return Buffer.concat([Buffer.from([first, ...length]), bytes]);
}

/** What comes out when the stream arrives in pieces of these sizes, over and over. */
function passed(stream: Buffer, sizes: () => number): Buffer {
  const scrubber = open();
  const out: Buffer[] = [];
  for (let at = 0; at < stream.length; ) {
    const size = sizes();
    out.push(Buffer.from(scrubber.push(stream.subarray(at, at + size))));
    at += size;
  }
  return Buffer.concat([...out, scrubber.end()]);
}

const STREAM = [
  frame(0x81, `one ${VALUE} `),
  frame(0x01, VALUE.slice(0, 5)),
  frame(0x89, `ping ${VALUE}`),
  frame(0x00, ""),
  frame(0x00, VALUE.slice(5, 6)),
  frame(0x80, `${VALUE.slice(6)}${VALUE.slice(0, 9)}`),
  frame(0x82, `${VALUE.slice(9)} ${"x".repeat(70_000)}\\u0073${VALUE.slice(1)}`),
  frame(0x81, "y".repeat(300)),
  frame(0x88, ""),
];
/** A value that goes over the end of a message stays; the service itself has split it there. */
const CLEAN = [
  frame(0x81, `one ${STAND_IN} `),
  frame(0x01, STAND_IN.slice(0, 5)),
  frame(0x89, `ping ${STAND_IN}`),
  frame(0x00, ""),
  frame(0x00, STAND_IN.slice(5, 6)),
  frame(0x80, `${STAND_IN.slice(6)}${VALUE.slice(0, 9)}`),
];

test("a value is found within a message, whatever frames it is in and however those arrive", () => {
  const whole = passed(Buffer.concat(STREAM), () => 1 << 20);
  expect(whole.subarray(0, Buffer.concat(CLEAN).length)).toEqual(Buffer.concat(CLEAN));
  expect(whole.includes(VALUE.slice(1))).toBe(false);
  expect(whole).toHaveLength(Buffer.concat(STREAM).length);
  const random = seededRandom(7);
  for (const sizes of [() => 1, () => 7, () => 1 + random(40)]) {
    expect(passed(Buffer.concat(STREAM), sizes).equals(whole)).toBe(true);
  }
});

test("a message is handed over with its last byte, and what can be no part of a value before", () => {
  const scrubber = open();
  const [header, text] = [frame(0x81, "abc def").subarray(0, 2), "abc def"];
  expect(scrubber.push(Buffer.concat([header, Buffer.from("abc d")])).toString("latin1")).toBe(
    `${header.toString("latin1")}abc `,
  );
  expect(scrubber.push(Buffer.from(text.slice(5))).toString()).toBe("def");
});

test.each([
  ["is extended", frame(0xc1, "x")],
  ["is masked", Buffer.from([0x81, 0x81, 1, 2, 3, 4, 5])],
  ["is of no known kind", frame(0x83, "x")],
  ["goes on with nothing", frame(0x80, "x")],
  ["begins within another message", Buffer.concat([frame(0x01, "x"), frame(0x81, "y")])],
  ["is a part of a control frame", frame(0x09, "x")],
  ["is a control frame that is too long", frame(0x89, "x".repeat(126))],
  ["is longer than can be counted", Buffer.from([0x82, 127, 0xff, 0, 0, 0, 0, 0, 0, 0])],
  [
    "leaves no end of control frames within a value",
    Buffer.concat([frame(0x01, "sk"), ...Array(100).fill(frame(0x89, ""))]),
  ],
])("a frame that %s is refused, and nothing follows", (_why, bytes) => {
  const scrubber = open();
  scrubber.push(bytes);
  expect(scrubber.isRefused).toBe(true);
  expect(Buffer.concat([scrubber.push(frame(0x81, "more ")), scrubber.end()])).toHaveLength(0);
});
