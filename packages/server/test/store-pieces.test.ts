import { Problem } from "@gatehouse/core";
import { expect, test } from "vitest";
import type { Upload } from "../src/reports/batch.ts";
import { storePieces } from "../src/reports/store-pieces.ts";
import type { Outcome } from "../src/reports/store-telemetry.ts";

const pieceOf = (source: string, bytes: number) => {
  const content = { kind: "payload", payload: source } as const;
  return { batches: [{ source, offset: 0, capturedAt: 1, content }], bytes };
};
const sourceOf = ({ batches }: Upload<string>) => batches[0]?.source ?? "";
const acknowledged = (upload: Upload<string>): Outcome<string> => ({ acknowledged: new Map([[sourceOf(upload), 1]]) });

/** What is stored of pieces, and what each source has acknowledged, or the problem. */
async function store(write: (upload: Upload<string>, turn: number) => Outcome<string>) {
  const turns = new Map<string, number>();
  let spent = 0;
  const own = { nodeId: "n", pieces: [pieceOf("first", 100), pieceOf("second", 1_000)] };
  const done = storePieces<string>(own, {
    write: async (upload) => {
      const turn = turns.get(sourceOf(upload)) ?? 0;
      turns.set(sourceOf(upload), turn + 1);
      return write(upload, turn);
    },
    onStored: (bytes) => {
      spent += bytes;
    },
  });
  return { done: await done.catch((failure: unknown) => failure), spent };
}

test("each piece that is stored is counted once, however many transactions it takes", async () => {
  const both = await store((upload, turn) => (turn < 3 ? { rest: upload } : acknowledged(upload)));
  expect(both).toEqual({ done: new Map(Object.entries({ first: 1, second: 1 })), spent: 1_100 });
});

test("what is stored is counted where a later piece is refused, or a later part of one; what is refused is not", async () => {
  const refused = new Problem("runs.foreign");
  const isSecond = (upload: Upload<string>) => sourceOf(upload) === "second";
  const whole = await store((upload) => (isSecond(upload) ? { refused } : acknowledged(upload)));
  expect(whole).toEqual({ done: refused, spent: 100 });
  const part = await store((upload, turn) => {
    if (!isSecond(upload)) return acknowledged(upload);
    return turn === 0 ? { rest: upload } : { refused };
  });
  expect(part).toEqual({ done: refused, spent: 1_100 });
});
