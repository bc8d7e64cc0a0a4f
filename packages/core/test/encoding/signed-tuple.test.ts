import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { encodeTuple, fromHex, type TupleField, toHex } from "../../src/index.ts";

type WrittenField =
  | { readonly text: string }
  | { readonly hex: string }
  | { readonly integer: string }
  | { readonly list: readonly WrittenField[] };

interface Vector {
  readonly name: string;
  readonly domain: string;
  readonly fields: readonly WrittenField[];
}

interface Vectors {
  readonly encoded: readonly (Vector & { readonly encoded: string; readonly sha256: string })[];
  readonly refused: readonly Vector[];
}

const FOLDER = fileURLToPath(new URL("../../../../spec/vectors/", import.meta.url));
const VECTORS: Vectors = JSON.parse(readFileSync(join(FOLDER, "signed-tuples.json"), "utf8"));

function read(field: WrittenField): TupleField {
  if ("text" in field) return field.text;
  if ("integer" in field) return BigInt(field.integer);
  return "list" in field ? field.list.map(read) : (fromHex(field.hex) ?? new Uint8Array());
}

describe("the shared vectors", () => {
  test.each(VECTORS.encoded)("$name", ({ domain, fields, encoded, sha256 }) => {
    const bytes = encodeTuple(domain, ...fields.map(read));
    expect(toHex(bytes)).toBe(encoded);
    expect(createHash("sha256").update(bytes).digest("hex")).toBe(sha256);
  });

  test.each(VECTORS.refused)("refused: $name", ({ domain, fields }) => {
    expect(() => encodeTuple(domain, ...fields.map(read))).toThrow(RangeError);
  });
});

function runChecker(...files: readonly string[]) {
  return spawnSync("python3", ["-B", join(FOLDER, "check_tuples.py"), ...files], { encoding: "utf8" });
}

// A machine without Python still checks the vectors above; the release check runs the script itself.
describe.skipIf(runChecker().error !== undefined)("the checker that shares nothing with this code", () => {
  test("agrees with every vector", () => {
    const { status, stdout } = runChecker();
    const count = VECTORS.encoded.length + VECTORS.refused.length;
    expect({ status, stdout }).toEqual({ status: 0, stdout: `${count} of ${count} vectors hold\n` });
  });

  test("sees a changed byte and a refusal that is none", () => {
    const folder = mkdtempSync(join(tmpdir(), "gatehouse-vectors-"));
    try {
      const [first, ...others] = VECTORS.encoded;
      const changed = { ...first, encoded: `${first?.encoded.slice(0, -1)}0` };
      const file = join(folder, "changed.json");
      writeFileSync(file, JSON.stringify({ encoded: [changed, ...others], refused: [first] }));
      const { status, stderr } = runChecker(file);
      expect(status).toBe(1);
      expect(stderr.trim().split("\n")).toHaveLength(2);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

test("numbers and bigints of one value are one field, and numbers that are not exact are refused", () => {
  expect(encodeTuple("d", 1_767_225_600_000)).toEqual(encodeTuple("d", 1_767_225_600_000n));
  expect(encodeTuple("d", -0)).toEqual(encodeTuple("d", 0));
  for (const number of [0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, -1]) {
    expect(() => encodeTuple("d", number)).toThrow(RangeError);
  }
});

test("bytes are copied: what is encoded does not change with its source", () => {
  const key = Uint8Array.of(1, 2, 3);
  const encoded = encodeTuple("d", key.subarray(1));
  key.fill(9);
  expect([...encoded.subarray(-2)]).toEqual([2, 3]);
});

interface Shape {
  readonly bytes: Uint8Array;
  readonly fields: readonly Shape[] | undefined;
}

/** Splits an encoding into its fields again, following the shape of what was encoded. */
function decode(encoded: Uint8Array, shape: readonly TupleField[]): readonly Shape[] {
  const view = new DataView(encoded.buffer, encoded.byteOffset, encoded.byteLength);
  const fields: Shape[] = [];
  let offset = 0;
  for (const field of shape) {
    const length = view.getUint32(offset);
    const bytes = encoded.subarray(offset + 4, offset + 4 + length);
    const isList = Array.isArray(field);
    fields.push({ bytes, fields: isList ? decode(bytes, field as readonly TupleField[]) : undefined });
    offset += 4 + length;
  }
  expect(offset).toBe(encoded.length);
  return fields;
}

const { fields: anyFields } = fc.letrec<{ field: TupleField; fields: TupleField[] }>((tie) => ({
  field: fc.oneof(
    { maxDepth: 3 },
    fc.string({ unit: "grapheme" }).filter((text) => text.normalize("NFC") === text),
    fc.uint8Array({ maxLength: 40 }),
    fc.bigInt(0n, (1n << 63n) - 1n),
    tie("fields"),
  ),
  fields: fc.array(tie("field"), { maxLength: 4 }),
}));

test("an encoding splits into exactly the fields that went in", () => {
  const check = (field: TupleField, shape: Shape | undefined): void => {
    if (typeof field === "string")
      expect(new TextDecoder("utf-8", { ignoreBOM: true }).decode(shape?.bytes)).toBe(field);
    else if (field instanceof Uint8Array) expect(toHex(shape?.bytes ?? new Uint8Array())).toBe(toHex(field));
    else if (Array.isArray(field)) {
      for (const [index, inner] of field.entries()) check(inner, shape?.fields?.[index]);
    } else expect(BigInt(`0x${toHex(shape?.bytes ?? new Uint8Array())}`)).toBe(BigInt(field as bigint));
  };
  fc.assert(
    fc.property(anyFields, (fields) => {
      const [domain, ...shapes] = decode(encodeTuple("domain", ...fields), ["domain", ...fields]);
      expect(new TextDecoder().decode(domain?.bytes)).toBe("domain");
      for (const [index, field] of fields.entries()) check(field, shapes[index]);
    }),
  );
});
