import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Code, ConnectError } from "@connectrpc/connect";
import { BATCH_HEADER, PROBLEM_HEADER } from "@gatehouse/kit";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Spool, type SpoolPart } from "../../src/reports/spool.ts";
import { sendPart } from "../../src/reports/upload-spool.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "gatehouse-spool-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

/** A spool of four batches, and a server that never takes one of them; `named`: what it says which. */
function refusing(never: number, named: (spool: Spool) => string) {
  const spool = Spool.open({ directory, maxBytes: 1_000_000, now: () => 1_000 });
  for (let at = 0; at < 4; at += 1) spool.append((offset) => Buffer.alloc(10, offset));
  const taken: number[] = [];
  const send = async (part: SpoolPart | undefined) => {
    const offsets = part?.batches.map(({ offset }) => offset) ?? [];
    if (offsets.includes(never)) {
      const headers = { [PROBLEM_HEADER]: "runs.foreign", [BATCH_HEADER]: named(spool) };
      throw new ConnectError("", Code.PermissionDenied, headers);
    }
    taken.push(...offsets);
    const last = Math.max(-1, ...taken, part?.gap?.through ?? -1);
    return last < 0 ? {} : { [spool.source]: BigInt(last) };
  };
  return { spool, taken, send };
}

test("of a part that is refused for one batch that is named, the others are sent", async () => {
  const { spool, taken, send } = refusing(2, ({ source }) => `${source} 2`);
  expect(await sendPart(spool, send, true)).toBe("runs.foreign");
  for (const isAligned of [false, true, true]) expect(await sendPart(spool, send, isAligned)).toBeUndefined();
  expect(taken).toEqual([0, 1, 3]);
  expect(spool.read(1_000)).toBeUndefined();
});

test.each(["", "another-source 2", "2", "node 2x", "2 2 2"])(
  "a server that names none of the spool's batches (%o) has the first ones given up, one at a time",
  async (named) => {
    const { spool, taken, send } = refusing(1, () => named);
    for (const failure of ["runs.foreign", "runs.foreign"]) expect(await sendPart(spool, send, true)).toBe(failure);
    expect(await sendPart(spool, send, true)).toBeUndefined();
    expect(taken).toEqual([2, 3]);
  },
);
