import { randomBytes } from "node:crypto";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { Problem, type UnnumberedEntry } from "@gatehouse/core";
import { readPrivateFile, removeFile, writeFileAtomic } from "@gatehouse/kit";
import { z } from "zod";
import { entriesNotIn, readEntryLines } from "./entry-lines.ts";
import type { LeftEntries } from "./passed-entries.ts";

const NAME = /^unwritten-[0-9a-f]{16}\.json$/;
const fileSchema = z.object({ after: z.number().int().nonnegative(), lines: z.string() });

/** Keeps entries beside a log that is another's, for whoever opens it next. Durable when it resolves. */
export async function leaveEntries(folder: string, { after, doubtful, sure }: LeftEntries): Promise<string> {
  const path = join(folder, `unwritten-${randomBytes(8).toString("hex")}.json`);
  await writeFileAtomic(path, JSON.stringify({ after, lines: doubtful + sure }));
  return path;
}

/** Who writes a log. */
interface Writer {
  noteEncoded(entries: readonly UnnumberedEntry[]): void;
  settled(): Promise<void>;
}

/**
 * Takes up what others left beside this log, each entry once. A file goes when its entries are durable; while the disk
 * takes nothing it stays, and the next start compares it anew. Fails with `state.corrupt` at one that cannot be read:
 * what is missing then nobody knows.
 */
export async function takeLeftEntries(folder: string, log: Writer): Promise<number> {
  let taken = 0;
  for (const name of (await readdir(folder)).filter((name) => NAME.test(name))) {
    const path = join(folder, name);
    const { after, lines } = parse(path, (await readPrivateFile(path)) ?? Buffer.alloc(0));
    const missing = await entriesNotIn(folder, after, readEntryLines(lines));
    log.noteEncoded(missing);
    taken += missing.length;
    const isDurable = await log.settled().then(
      () => true,
      () => false,
    );
    if (isDurable) await removeFile(path);
  }
  return taken;
}

function parse(path: string, stored: Buffer): z.infer<typeof fileSchema> {
  try {
    return fileSchema.parse(JSON.parse(stored.toString()));
  } catch (cause) {
    throw new Problem("state.corrupt", {
      detail: `${path}: entries of the audit log cannot be read. Find out why, then move it away.`,
      cause,
    });
  }
}
