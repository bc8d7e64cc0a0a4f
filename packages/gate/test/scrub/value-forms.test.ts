import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { readEscapes } from "../../src/scrub/read-escapes.ts";
import { Scrubber } from "../../src/scrub/scrubber.ts";
import { SoughtValues } from "../../src/scrub/sought-values.ts";
import { requireLongEnough, scrubbedForms } from "../../src/scrub/value-forms.ts";

// Everything that one encoding or another escapes.
const VALUE = `p/a+b="c&d'<e>%f\\g,h 0123`;
const PLACEHOLDER = "gh-placeholder-x";

function soughtFor(value: string, headerValue = value): SoughtValues {
  return new SoughtValues(scrubbedForms(value, headerValue, PLACEHOLDER));
}

function scrub(sought: SoughtValues, chunks: readonly string[], isText = true): string {
  const scrubber = new Scrubber(sought, isText);
  const out = chunks.map((chunk) => scrubber.push(Buffer.from(chunk, "latin1")).toString("latin1"));
  return out.join("") + scrubber.end().toString("latin1");
}

const hexOf = (text: string) => [...Buffer.from(text)].map((byte) => byte.toString(16).padStart(2, "0"));
const ESCAPED: readonly (readonly [string, string])[] = [
  ["as it is", VALUE],
  ["in JSON", JSON.stringify(VALUE).slice(1, -1)],
  ["in JSON that escapes slashes", JSON.stringify(VALUE).slice(1, -1).replaceAll("/", "\\/")],
  [
    "in JSON for HTML",
    JSON.stringify(VALUE)
      .slice(1, -1)
      .replace(/[<>&'+]/g, (c) => `\\u${hexOf(c)[0]?.padStart(4, "0")}`),
  ],
  ["in JSON in upper case", [...VALUE].map((c) => `\\u00${hexOf(c)[0]?.toUpperCase()}`).join("")],
  ["in a URL", encodeURIComponent(VALUE)],
  ["in a URL in lower case", encodeURIComponent(VALUE).replace(/%../g, (one) => one.toLowerCase())],
  [
    "in a URL, every character",
    hexOf(VALUE)
      .map((byte) => `%${byte}`)
      .join(""),
  ],
  [
    "in HTML",
    VALUE.replaceAll("&", "&amp;")
      .replaceAll("<", "&lt;")
      .replaceAll(">", "&gt;")
      .replaceAll('"', "&quot;")
      .replaceAll("'", "&#39;"),
  ],
  ["in HTML that escapes more", VALUE.replace(/[&<>"'/=+]/g, (c) => `&#x${hexOf(c)[0]?.toUpperCase()};`)],
  [
    "in JavaScript",
    hexOf(VALUE)
      .map((byte) => `\\x${byte}`)
      .join(""),
  ],
];

describe("a value is found", () => {
  test.each(ESCAPED)("%s, at every split, and nothing of its length changes", (_, text) => {
    const sought = soughtFor(VALUE);
    const whole = `{"a": ${text}, "b": 1}`;
    const wanted = scrub(sought, [whole]);
    expect(wanted).toHaveLength(whole.length);
    expect(wanted.slice(6, 6 + text.length)).toMatch(/^(?:gh-placeholder-x)*[ghplaceodrx-]*$/);
    expect(wanted.slice(0, 6) + wanted.slice(6 + text.length)).toBe('{"a": , "b": 1}');
    for (let cut = 0; cut <= whole.length; cut += 1) {
      expect(scrub(sought, [whole.slice(0, cut), whole.slice(cut)])).toBe(wanted);
    }
    expect(scrub(sought, [...whole])).toBe(wanted);
  });

  test.each(["base64", "base64url", "hex"] as const)("in %s, whatever stands before and behind it", (encoding) => {
    const sought = soughtFor(VALUE);
    for (const before of ["", "u", "us", "user:"]) {
      for (const behind of ["", "a", "ab", "abc"]) {
        const encoded = Buffer.from(before + VALUE + behind).toString(encoding);
        const clean = scrub(sought, [`x ${encoded} y`]);
        expect(clean).toHaveLength(encoded.length + 4);
        // What neighbours share with it is left: at most a character at either end.
        const left = Buffer.from(clean.slice(2, -2), encoding).toString("latin1");
        for (let at = 0; at + 4 <= VALUE.length; at += 1) expect(left).not.toContain(VALUE.slice(at, at + 4));
      }
    }
    expect(scrub(sought, [Buffer.from(VALUE).toString("hex").toUpperCase()])).toMatch(/^[ghplaceodrx-]+$/);
  });

  test("inside Basic, and in a form", () => {
    const header = `Basic ${btoa(`user:${VALUE}`)}`;
    expect(scrub(soughtFor(VALUE, header), [`${header} ${header.slice(6).replaceAll("=", "%3D")}`])).not.toContain(
      header.slice(6, 20),
    );
    expect(scrub(soughtFor("two words here"), ["a=two+words+here&b"])).not.toContain("words");
  });

  test("in UTF-16 that is not stated, in either order of its bytes", () => {
    const sought = soughtFor(VALUE);
    for (const wide of [(c: string) => `${c}\0`, (c: string) => `\0${c}`]) {
      const text = [...`{"a": ${VALUE}}`].map(wide).join("");
      for (let cut = 0; cut <= text.length; cut += 1) {
        const clean = scrub(sought, [text.slice(0, cut), text.slice(cut)]);
        expect(clean).toHaveLength(text.length);
        expect(clean).not.toContain([..."01"].map(wide).join("").slice(0, 3));
      }
    }
  });

  test("in a type that is no text as it is and in base64, and escapes are not read there", () => {
    const sought = soughtFor(VALUE);
    for (const text of [VALUE, btoa(`u${VALUE}u`)])
      expect(scrub(sought, [text], false)).not.toContain(text.slice(4, 12));
    expect(scrub(sought, ["%41%42 stays"], false)).toBe("%41%42 stays");
  });

  test("in a head", () => {
    const head = Buffer.from(`HTTP/1.1 302 Found\r\nLocation: /?t=${encodeURIComponent(VALUE)}\r\n\r\n`);
    expect(head.toString()).toContain("p%2Fa");
    soughtFor(VALUE).scrubHead(head);
    expect(head.toString()).not.toContain("p%2Fa");
  });
});

test("any mix of escapes, however it is split, comes out as in one pass and without the value", () => {
  const value = "k/ey+01&2=3x";
  const sought = soughtFor(value);
  const ways: readonly ((c: string) => string)[] = [
    (c) => c,
    (c) => `%${hexOf(c)[0]}`,
    (c) => `\\u00${hexOf(c)[0]}`,
    (c) => `&#x${hexOf(c)[0]};`,
    (c) => `&#${c.charCodeAt(0)};`,
  ];
  const mixed = fc
    .array(fc.nat(ways.length - 1), { minLength: value.length, maxLength: value.length })
    .map((picks) => picks.map((pick, at) => ways[pick]?.(value[at] ?? "") ?? "").join(""));
  const beside = fc.constantFrom(" ", "x", "%", "&", "\\", "%4", "k/ey", "&amp;", "\n");
  const text = fc.array(fc.oneof(mixed, beside), { maxLength: 8 }).map((parts) => parts.join(""));
  fc.assert(
    fc.property(text, fc.array(fc.nat(), { maxLength: 8 }), (whole, places) => {
      const cuts = [...places.map((place) => place % (whole.length + 1)), whole.length].sort((a, b) => a - b);
      const clean = scrub(
        sought,
        cuts.map((end, at) => whole.slice(cuts[at - 1] ?? 0, end)),
      );
      expect(clean).toBe(scrub(sought, [whole]));
      expect(readEscapes(Buffer.from(clean, "latin1"), true)?.bytes.toString("latin1") ?? clean).not.toContain(value);
    }),
    { numRuns: 1_000 },
  );
});

test("what is held back does not depend on whether the escaped text is a value", () => {
  const sought = soughtFor("key/0123456789");
  const lengths = (chunks: readonly string[]) => {
    const scrubber = new Scrubber(sought);
    return [...chunks.map((chunk) => scrubber.push(Buffer.from(chunk)).length), scrubber.end().length];
  };
  const text = fc.array(fc.constantFrom("key%2F0123456789", "key\\u002f", "0123", " ", "&amp;", "%", "\\"), {
    maxLength: 6,
  });
  fc.assert(
    fc.property(fc.array(text, { maxLength: 5 }), (parts) => {
      const chunks = parts.map((part) => part.join(""));
      const other = chunks.map((chunk) => chunk.replaceAll("key", "yek").replaceAll("0123", "3210"));
      expect(lengths(chunks)).toEqual(lengths(other));
    }),
  );
});

test("each form has an overwrite of its own length", () => {
  for (const { value, overwrite } of scrubbedForms(VALUE, `Bearer ${VALUE}`, PLACEHOLDER)) {
    expect(Buffer.byteLength(overwrite)).toBe(Buffer.byteLength(value));
  }
});

test("a value that could not be told from ordinary text is no credential", () => {
  expect(requireLongEnough("123456")).toBe("123456");
  expect(() => requireLongEnough("12345")).toThrow(expect.objectContaining({ code: "credentials.invalid_value" }));
});
