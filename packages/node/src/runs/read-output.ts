import { type FileHandle, open, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { errorCode } from "@gatehouse/kit";
import { LOST_FILE, OUTPUT_FILE, type OutputStream, STREAMS_FILE, SWITCH_BYTES } from "../keeper/output-log.ts";

/** What lies together of what a run wrote. */
export interface OutputPiece {
  /** Of its first byte, counted from the run's start. */
  readonly offset: number;
  readonly parts: readonly OutputPart[];
  /** Nothing was written after it. */
  readonly isAtEnd: boolean;
}

export interface OutputPart {
  readonly stream: OutputStream;
  readonly data: Uint8Array;
}

/** A keeper that died between two steps leaves what is there as it is. */
const MAX_LOOKS = 40;
const LOOK_EVERY_MS = 5;

/** Reads what a detached run wrote from an offset on; what was rotated away before it is left out. */
export async function readOutput(
  directory: string,
  { from, limit }: { readonly from: number; readonly limit: number },
): Promise<OutputPiece> {
  await using files = await openFiles(directory);
  const [older, newer] = files.list;
  const offset = Math.max(from, older.from);
  const file = offset < newer.from ? older : newer;
  const data = await readAt(file.data, { at: offset - file.from, limit });
  const parts = data.length === 0 ? [] : await splitStreams(file.switches, data, offset - file.from);
  return { offset, parts, isAtEnd: offset + data.length >= newer.from + newer.bytes };
}

/** All of a piece, whichever stream it came by. */
export function bytesOf({ parts }: OutputPiece): Uint8Array {
  return Buffer.concat(parts.map(({ data }) => data));
}

interface OutputFile {
  readonly data: FileHandle | undefined;
  readonly switches: FileHandle | undefined;
  /** Place of its first byte, counted from the run's start. */
  readonly from: number;
  readonly bytes: number;
}

interface OutputFiles extends AsyncDisposable {
  readonly list: readonly [older: OutputFile, newer: OutputFile];
}

/** Both files as they were at one moment: the keeper may be moving them. */
async function openFiles(directory: string): Promise<OutputFiles> {
  const path = join(directory, OUTPUT_FILE);
  for (let looks = 1; ; looks += 1) {
    const before = await readLost(directory);
    const opened = await openAll(directory);
    const [older, , newer] = opened;
    const [olderStat, newerStat] = [await older?.stat(), await newer?.stat()];
    const isMoving = before.inode !== undefined && before.inode !== olderStat?.ino;
    const isSame = (await readLost(directory)).text === before.text && (await inodeOf(`${path}.1`)) === olderStat?.ino;
    if ((isSame && !isMoving) || looks >= MAX_LOOKS) {
      const kept = olderStat?.size ?? 0;
      return {
        list: [
          { data: opened[0], switches: opened[1], from: before.bytes, bytes: kept },
          { data: opened[2], switches: opened[3], from: before.bytes + kept, bytes: newerStat?.size ?? 0 },
        ],
        [Symbol.asyncDispose]: () => closeAll(opened),
      };
    }
    await closeAll(opened);
    await delay(LOOK_EVERY_MS);
  }
}

async function readLost(directory: string) {
  const text = await readFile(join(directory, LOST_FILE), "utf8").catch(() => "");
  const [bytes = "", inode] = text.split(" ");
  return { text, bytes: Number(bytes), inode: inode === undefined ? undefined : Number(inode) };
}

async function openAll(directory: string): Promise<readonly (FileHandle | undefined)[]> {
  const opened: (FileHandle | undefined)[] = [];
  for (const name of [`${OUTPUT_FILE}.1`, `${STREAMS_FILE}.1`, OUTPUT_FILE, STREAMS_FILE]) {
    opened.push(await openIfThere(join(directory, name)));
  }
  return opened;
}

async function closeAll(files: readonly (FileHandle | undefined)[]): Promise<void> {
  for (const file of files) await file?.close();
}

async function openIfThere(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, "r");
  } catch (failure) {
    if (errorCode(failure) === "ENOENT") return undefined;
    throw failure;
  }
}

async function inodeOf(path: string): Promise<number | undefined> {
  return (await stat(path).catch(() => undefined))?.ino;
}

async function readAt(
  file: FileHandle | undefined,
  { at, limit }: { readonly at: number; readonly limit: number },
): Promise<Uint8Array> {
  if (file === undefined || at < 0) return new Uint8Array();
  const buffer = Buffer.alloc(limit);
  const { bytesRead } = await file.read(buffer, 0, limit, at);
  return new Uint8Array(buffer.subarray(0, bytesRead));
}

/** Cuts bytes of a file, which begin at `at`, where another stream begins. */
async function splitStreams(
  switches: FileHandle | undefined,
  data: Uint8Array,
  at: number,
): Promise<readonly OutputPart[]> {
  const records = switches === undefined ? Buffer.alloc(0) : await switches.readFile();
  const parts: OutputPart[] = [];
  let stream: OutputStream = "stdout";
  let start = 0;
  for (let place = 0; place + SWITCH_BYTES <= records.length; place += SWITCH_BYTES) {
    const record = Number(records.readBigUInt64BE(place));
    const next = Math.floor(record / 2) - at;
    if (next >= data.length) break;
    if (next > start) {
      parts.push({ stream, data: data.subarray(start, next) });
      start = next;
    }
    stream = record % 2 === 1 ? "stderr" : "stdout";
  }
  return [...parts, { stream, data: data.subarray(start) }];
}
