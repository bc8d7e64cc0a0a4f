import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Scrubber } from "../../src/scrub/scrubber.ts";
import { SoughtValues } from "../../src/scrub/sought-values.ts";
import type { ScrubbedValue } from "../../src/snapshot/run-snapshot.ts";

const TOKEN = "sk-live-0123456789abcdef";
const PLACEHOLDER = "gh-placeholder-AAAAAAAAA";
const VALUES: readonly ScrubbedValue[] = [{ value: TOKEN, overwrite: PLACEHOLDER }];

/** What each push and the end give. */
function pieces(values: readonly ScrubbedValue[], chunks: readonly (string | Buffer)[]): string[] {
  const scrubber = new Scrubber(new SoughtValues(values));
  const out = chunks.map((chunk) => scrubber.push(Buffer.from(chunk as string)).toString("latin1"));
  return [...out, scrubber.end().toString("latin1")];
}

const scrub = (values: readonly ScrubbedValue[], chunks: readonly (string | Buffer)[]) =>
  pieces(values, chunks).join("");

function cuts(text: Buffer, places: readonly number[]): Buffer[] {
  const ends = [...places.map((place) => place % (text.length + 1)), text.length].sort((a, b) => a - b);
  return ends.map((end, index) => text.subarray(ends[index - 1] ?? 0, end));
}

/** The definition: every occurrence is overwritten, in the order in which they end, longer ones over shorter ones. */
function overwriteAll(text: Buffer, values: readonly ScrubbedValue[]): string {
  const out = Buffer.from(text);
  for (let end = 1; end <= text.length; end += 1) {
    for (const { value, overwrite } of [...values].sort((a, b) => a.value.length - b.value.length)) {
      const start = end - value.length;
      if (start >= 0 && text.toString("latin1", start, end) === value) out.write(overwrite, start, "latin1");
    }
  }
  return out.toString("latin1");
}

describe("a real value is overwritten", () => {
  test("wherever it stands", () => {
    const text = `{"token":"${TOKEN}"} ${TOKEN}${TOKEN} x${TOKEN}`;
    expect(scrub(VALUES, [text])).toBe(text.replaceAll(TOKEN, PLACEHOLDER));
  });

  test("at every split into two and three pieces", () => {
    const text = `a "${TOKEN}" b`;
    const wanted = text.replaceAll(TOKEN, PLACEHOLDER);
    for (let first = 0; first <= text.length; first += 1) {
      for (let second = first; second <= text.length; second += 1) {
        expect(scrub(VALUES, [text.slice(0, first), text.slice(first, second), text.slice(second)])).toBe(wanted);
      }
    }
  });

  test("byte by byte", () => {
    const text = `Bearer ${TOKEN}\n`;
    expect(scrub(VALUES, [...text])).toBe(text.replaceAll(TOKEN, PLACEHOLDER));
  });

  test("with spaces and line ends in it, at every split", () => {
    const values = [
      { value: "correct horse battery", overwrite: "gh-placeholder-AAAAAA" },
      { value: "-----BEGIN\nabcd\n-----END", overwrite: "gh-placeholder-AAAAAAAAA" },
    ];
    const text = "x correct horse battery y -----BEGIN\nabcd\n-----END z";
    const wanted = "x gh-placeholder-AAAAAA y gh-placeholder-AAAAAAAAA z";
    for (let first = 0; first <= text.length; first += 1) {
      expect(scrub(values, [text.slice(0, first), text.slice(first)])).toBe(wanted);
    }
  });

  test("in a head, whose other bytes stay", () => {
    const head = `HTTP/1.1 302 Found\r\nLocation: /?t=${TOKEN}\r\nX: \xe9\r\n\r\n`;
    expect(scrubHead(VALUES, head)).toBe(head.replaceAll(TOKEN, PLACEHOLDER));
    expect(scrubHead(VALUES, "HTTP/1.1 200 \xe9\r\n\r\n")).toBe("HTTP/1.1 200 \xe9\r\n\r\n");
  });

  test("beyond ASCII", () => {
    const values = [{ value: "pässwörter", overwrite: "gh-placehold" }];
    expect(scrub(values, ["x pässw", "örter y"])).toBe("x gh-placehold y");
  });

  test("with stars of its length when the overwrite has another", () => {
    expect(scrub([{ value: TOKEN, overwrite: "short" }], [`a${TOKEN}b`])).toBe(`a${"*".repeat(TOKEN.length)}b`);
  });
});

test("whatever the values, the text and the split: the outcome is that of one pass over the whole", () => {
  const letters = fc.string({ unit: fc.constantFrom("a", "b", "c", " ", "\n"), minLength: 4, maxLength: 9 });
  const values = fc
    .uniqueArray(letters, { minLength: 1, maxLength: 6 })
    .map((all) => all.map((value, index) => ({ value, overwrite: String(index).repeat(value.length) })));
  const text = (all: readonly ScrubbedValue[]) =>
    fc.array(fc.oneof(fc.constantFrom(...all.map(({ value }) => value)), letters), { maxLength: 12 });
  const input = values.chain((all) => fc.tuple(fc.constant(all), text(all), fc.array(fc.nat(), { maxLength: 10 })));
  fc.assert(
    fc.property(input, ([all, parts, places]) => {
      const bytes = Buffer.from(parts.join(""), "latin1");
      expect(scrub(all, cuts(bytes, places))).toBe(overwriteAll(bytes, all));
    }),
    { numRuns: 2_000 },
  );
});

test("two hundred values among each other are all found", () => {
  const values = Array.from({ length: 200 }, (_, at) => ({
    value: `secret-${at * 7_919}-${"xyz".repeat(1 + (at % 9))}`,
    overwrite: "#".repeat(`secret-${at * 7_919}-${"xyz".repeat(1 + (at % 9))}`.length),
  }));
  const text = values.map(({ value }, at) => `${"secret-".repeat(at % 5)}${value}`).join(" ");
  const bytes = Buffer.from(text);
  expect(scrub(values, cuts(bytes, [17, 401, 402, 1_900]))).toBe(overwriteAll(bytes, values));
});

describe("what is held back does not depend on a match", () => {
  const lengths = (texts: readonly string[]) => pieces(VALUES, texts).map(({ length }) => length);
  const beside = (text: string) => text.replace(/[^\s]/g, "x");

  test("pieces of equal shape go out in equal pieces, with a value in them or without", () => {
    const text = fc.array(fc.constantFrom(TOKEN, TOKEN.slice(0, 9), TOKEN.slice(9), " ", "\n", "ab"), { maxLength: 9 });
    fc.assert(
      fc.property(fc.array(text, { maxLength: 5 }), (parts) => {
        const chunks = parts.map((part) => part.join(""));
        expect(lengths(chunks)).toEqual(lengths(chunks.map(beside)));
      }),
    );
  });

  test("it is the trailing run without spaces, at most the longest value minus one byte", () => {
    expect(lengths(["one two"])).toEqual([4, 3]);
    expect(lengths(["one two "])).toEqual([8, 0]);
    expect(lengths(["x".repeat(100)])).toEqual([100 - TOKEN.length + 1, TOKEN.length - 1]);
    expect(lengths([`data: {"a": 1}\n\n`])).toEqual([16, 0]);
  });

  test("a value with spaces holds back what it could go on through, and lines still go out whole", () => {
    const values = [...VALUES, { value: "two words here!", overwrite: "gh-placeholder-" }];
    expect(pieces(values, ["data: some words and more\n\n"]).map(({ length }) => length)).toEqual([27, 0]);
    expect(pieces(values, ["data: some words and more"]).map(({ length }) => length)).toEqual([11, 14]);
  });
});

test("after the end it serves another body, and nothing of the first one is left", () => {
  const scrubber = new Scrubber(new SoughtValues(VALUES));
  const first = scrubber.push(Buffer.from(`${TOKEN} ${TOKEN.slice(0, 9)}`)).toString() + scrubber.end().toString();
  expect(first).toBe(`${PLACEHOLDER} ${TOKEN.slice(0, 9)}`);
  expect(scrubber.push(Buffer.from(`${TOKEN.slice(9)} `)).toString()).toBe(`${TOKEN.slice(9)} `);
});

test("without values there is nothing to do, and nothing that any text holds is looked for", () => {
  expect(new SoughtValues([]).isEmpty).toBe(true);
  expect(scrubHead([], "x")).toBe("x");
  expect(new SoughtValues([{ value: "abc", overwrite: "xyz" }]).isEmpty).toBe(true);
});

describe("the bytes that it is given", () => {
  test("are not changed", () => {
    const chunk = Buffer.from(`a ${TOKEN} b`);
    scrub(VALUES, [chunk]);
    expect(chunk.toString()).toBe(`a ${TOKEN} b`);
  });

  test("may stand in memory that is used again", () => {
    const scrubber = new Scrubber(new SoughtValues(VALUES));
    const chunk = Buffer.from("sk-live-0123");
    const first = scrubber.push(chunk).toString();
    chunk.fill("-");
    expect(first + scrubber.push(Buffer.from("456789abcdef")).toString() + scrubber.end().toString()).toBe(PLACEHOLDER);
  });
});

function scrubHead(values: readonly ScrubbedValue[], text: string): string {
  const head = Buffer.from(text, "latin1");
  new SoughtValues(values).scrubHead(head);
  return head.toString("latin1");
}
