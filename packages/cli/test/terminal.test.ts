import { Problem, type ProblemCode } from "@gatehouse/core";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { nextStep } from "../src/terminal/next-step.ts";
import { note, printJson, printTable } from "../src/terminal/print.ts";
import { reportFailure } from "../src/terminal/report-failure.ts";

/** Sets a clipboard, clears a screen, rings, writes over a line, turns what follows around, says what nobody sees. */
const HOSTILE =
  "\u001b]52;c;cm0gLXJm\u0007\u001b[2J\u009b31m\rok\u202edne\u061c\u200b\u2028\u00ad\u3164\ufe0f\u{e0068}\u{e0069}";
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not reach a terminal
const MOVES = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/;
const IS_NOT_SEEN = /\u00ad|\u3164|[\ufe00-\ufe0f]|[\u{e0000}-\u{e01ef}]/u;

const CALLED = { group: "nodes", command: "nodes ls", asked: undefined };

let written = "";

beforeEach(() => {
  written = "";
  for (const stream of [process.stdout, process.stderr]) {
    vi.spyOn(stream, "write").mockImplementation((text) => {
      written += String(text);
      return true;
    });
  }
});

afterEach(() => vi.restoreAllMocks());

test.each<[string, () => unknown]>([
  ["a failure", () => reportFailure(new Problem("commands.failed", { detail: `It says: ${HOSTILE}` }), CALLED)],
  ["a note", () => note(HOSTILE)],
  ["a table", () => printTable(["NODE"], [[HOSTILE], ["n1"]])],
  ["JSON", () => printJson({ said: HOSTILE })],
])("%s that a node or server had a part in moves no terminal", (_, print) => {
  print();
  // All of it is seen: whoever decides by it reads no shorter text than was said.
  expect(written).toContain("\\u001b]52;c;cm0gLXJm");
  expect(written).toContain("ok");
  expect(written).not.toMatch(MOVES);
  expect(written).not.toMatch(IS_NOT_SEEN);
});

test("what is printed as JSON reads as it was", () => {
  printJson({ said: HOSTILE });
  expect(JSON.parse(written)).toEqual({ said: HOSTILE });
});

test("a failure of several lines keeps them", () => {
  reportFailure(new Problem("policy.invalid", { detail: "one\ntwo" }), CALLED);
  expect(written).toContain("one\ntwo\n");
});

test.each<[ProblemCode, string, string | undefined]>([
  ["policy.invalid", "policy apply", "gatehouse policy lint FILE"],
  ["policy.invalid", "policy lint", undefined],
  ["daemon.unreachable", "trace", "gatehouse up; a node's requests are shown on that node: gatehouse trace"],
])("after %s of %s the next step is what helps there", (code, command, next) => {
  const [group = ""] = command.split(" ");
  expect(nextStep(code, { group, command })).toBe(next);
});
