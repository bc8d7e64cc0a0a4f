import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { MerkleFrontier, Problem, readExportHeader, readHead, type SignedHead } from "@gatehouse/core";
import { systemReason } from "../files/error-code.ts";
import { sha256 } from "../keys/sha256.ts";
import { LINE_FEED, readLines } from "./read-lines.ts";
import { SegmentFolder } from "./segment-folder.ts";
import { readSegmentHeader, type SegmentHeader } from "./segment-header.ts";
import { LAST_HEAD } from "./segment-store.ts";

/** A log in order: what each of its parts begins with, and the lines of entries and heads, many at a time. */
export type LogPart = { readonly header: SegmentHeader } | { readonly lines: readonly string[] };

/** A log that can be read from its beginning, as often as needed. */
export interface LogSource {
  read(): AsyncIterable<LogPart>;
  /** The head that the log must reach, where one is kept apart from it. */
  lastHead(): Promise<SignedHead | undefined>;
  /** An export ends with a head; a log that is written to need not. */
  readonly isExport: boolean;
}

/** An export file, a log's directory, or the state directory that holds one. Fails with `audit.not_found`. */
export async function openLogSource(path: string): Promise<LogSource> {
  const kind = await kindOf(path);
  if (kind === "file") return exportSource(path);
  return folderSource(
    (await kindOf(join(path, "audit")).catch(() => undefined)) === "folder" ? join(path, "audit") : path,
  );
}

async function kindOf(path: string): Promise<"file" | "folder"> {
  try {
    return (await stat(path)).isDirectory() ? "folder" : "file";
  } catch (cause) {
    throw new Problem("audit.not_found", { detail: `${path}: ${systemReason(cause)}.`, cause });
  }
}

function exportSource(path: string): LogSource {
  return {
    isExport: true,
    lastHead: async () => undefined,
    read: () => {
      const readHeader = (line: string) => ({ ...readExportHeader(line), tree: new MerkleFrontier(sha256) });
      return readParts(endedLines(createReadStream(path, { highWaterMark: 262_144 })), readHeader);
    },
  };
}

/** Passes bytes on. Fails with `audit.tampered` when they end within a line: an export is written as a whole. */
async function* endedLines(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let last = LINE_FEED;
  for await (const chunk of chunks) {
    last = chunk.at(-1) ?? last;
    yield chunk;
  }
  if (last !== LINE_FEED)
    throw new Problem("audit.tampered", { detail: "It ends within a line: its end was cut off." });
}

function folderSource(folder: string): LogSource {
  const store = new SegmentFolder(folder);
  return {
    isExport: false,
    lastHead: async () => {
      const text = await store.readHead();
      return text === undefined ? undefined : readHead(text);
    },
    read: async function* () {
      const firsts = await store.list();
      if (firsts.length === 0) throw new Problem("audit.not_found", { detail: `${folder} holds no ${LAST_HEAD}.` });
      for (const first of firsts) yield* readParts(store.read(first), readSegmentHeader);
    },
  };
}

async function* readParts(
  chunks: AsyncIterable<Buffer>,
  readHeader: (line: string) => SegmentHeader,
): AsyncGenerator<LogPart> {
  let isFirst = true;
  for await (const group of readLines(chunks)) {
    const lines = group.map(({ text }) => text);
    if (isFirst) yield { header: readHeader(lines.shift() ?? "") };
    isFirst = false;
    yield { lines };
  }
}
