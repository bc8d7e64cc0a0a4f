import { isHeadLine, readHead, type SignedHead } from "@gatehouse/core";
import { readLines } from "./read-lines.ts";
import { SegmentFolder } from "./segment-folder.ts";
import { readSegmentHeader } from "./segment-header.ts";

/** The last head of a log that is written to; `undefined` while none is signed. Fails with `audit.tampered`. */
export async function lastHeadOf(folder: string): Promise<SignedHead | undefined> {
  const text = await new SegmentFolder(folder).readHead();
  return text === undefined ? undefined : readHead(text);
}

/** The id of a log; `undefined` while nothing is written. Fails with `audit.not_found`, `audit.tampered`. */
export async function logIdOf(folder: string): Promise<string | undefined> {
  const store = new SegmentFolder(folder);
  const [first] = await store.list();
  if (first === undefined) return undefined;
  for await (const [header] of readLines(store.read(first))) {
    if (header !== undefined) return readSegmentHeader(header.text).log;
  }
  return undefined;
}

/**
 * Lines of a log from entry `size` on, as they stand now: entries, and heads of more than `size` entries. Reads the
 * segments from the one that holds that entry; nothing is verified. Fails with `audit.not_found`, `audit.tampered`.
 */
export async function* readLogFrom(folder: string, size: number): AsyncGenerator<string> {
  const store = new SegmentFolder(folder);
  for (const first of await segmentsFrom(store, size)) {
    let at = first;
    for await (const text of segmentLines(store, first)) {
      at += isHeadLine(text) ? 0 : 1;
      if (at > size) yield text;
    }
  }
}

async function segmentsFrom(store: SegmentFolder, size: number): Promise<readonly number[]> {
  const firsts = await store.list();
  const start = firsts.findLastIndex((first) => first <= size);
  return firsts.slice(Math.max(start, 0));
}

/** Without the segment's own first line. */
async function* segmentLines(store: SegmentFolder, first: number): AsyncGenerator<string> {
  let isHeader = true;
  for await (const lines of readLines(store.read(first))) {
    for (const { text } of lines) {
      if (!isHeader) yield text;
      isHeader = false;
    }
  }
}
