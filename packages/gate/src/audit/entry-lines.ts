import type { UnnumberedEntry } from "@gatehouse/core";
import { readLogFrom } from "@gatehouse/kit";

/** Entries between processes: two lines each, the text before the number and behind. */
export function entryLines({ before, after }: UnnumberedEntry): string {
  return `${before}\n${after}\n`;
}

export function readEntryLines(lines: string): readonly UnnumberedEntry[] {
  const texts = lines.split("\n");
  const entries = [];
  for (let at = 0; at + 1 < texts.length; at += 2) {
    entries.push({ before: texts[at] ?? "", after: texts[at + 1] ?? "" });
  }
  return entries;
}

/**
 * Those of `entries` that do not stand in the log behind its first `after`. Whoever had them wrote them in this order
 * and may have ended between any two of them. They are told apart by their text: of two alike, of one run, millisecond
 * and URL, one may be taken for the other.
 */
export async function entriesNotIn(
  folder: string,
  after: number,
  entries: readonly UnnumberedEntry[],
): Promise<readonly UnnumberedEntry[]> {
  let found = 0;
  for await (const line of readLogFrom(folder, after)) {
    const next = entries[found];
    if (next === undefined) break;
    if (isNumbered(line, next)) found += 1;
  }
  return entries.slice(found);
}

function isNumbered(line: string, { before, after }: UnnumberedEntry): boolean {
  if (!line.startsWith(before) || !line.endsWith(after)) return false;
  return /^\d+$/.test(line.slice(before.length, line.length - after.length));
}
