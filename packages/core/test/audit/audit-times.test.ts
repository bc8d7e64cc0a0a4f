import { expect, test } from "vitest";
import { base64url, canonicalJson, readEntry, readHead } from "../../src/index.ts";

const LAST = 8_640_000_000_000_000;

test("a time of which no date can speak is none, in an entry and in a head", () => {
  const entry = { actor: "a", agent: null, data: {}, kind: "k", node: null, org: null, run: null, seq: 0 };
  const root = base64url(new Uint8Array(32));
  const head = { key_id: "k", root, signature: base64url(new Uint8Array(64)), size: 1, witnesses: [] };
  expect(readEntry(canonicalJson({ ...entry, time: LAST })).time).toBe(LAST);
  expect(readHead(canonicalJson({ ...head, time: LAST })).time).toBe(LAST);
  for (const time of [LAST + 1, -1]) {
    expect(() => readEntry(canonicalJson({ ...entry, time }))).toThrow(
      expect.objectContaining({ code: "audit.tampered" }),
    );
    expect(() => readHead(canonicalJson({ ...head, time }))).toThrow(
      expect.objectContaining({ code: "audit.tampered" }),
    );
  }
});
