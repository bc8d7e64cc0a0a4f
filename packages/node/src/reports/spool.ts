import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { Problem, systemRandom, toHex } from "@gatehouse/core";
import { errorCode } from "@gatehouse/kit";

/** Batches that had to go before they were acknowledged: offsets from `first` to `through`. */
export interface SpoolGap {
  readonly first: number;
  readonly through: number;
  readonly batches: number;
  readonly bytes: number;
  /** Unix milliseconds at which the last of them went. */
  readonly capturedAt: number;
}

export interface SpooledBatch {
  readonly offset: number;
  readonly bytes: Buffer;
}

/** What is to be sent next, in this order. */
export interface SpoolPart {
  readonly gap: SpoolGap | undefined;
  readonly batches: readonly SpooledBatch[];
}

export interface SpoolOptions {
  /** Its own; made when absent. */
  readonly directory: string;
  readonly maxBytes: number;
  readonly now: () => number;
}

interface Segment {
  readonly first: number;
  count: number;
  bytes: number;
}

const SEGMENT_BYTES = 1_048_576;
/** Length and CRC-32 of a batch, in front of it. */
const HEADER_BYTES = 8;
const SOURCE_BYTES = 8;
const SOURCE = /^node-[0-9a-f]{16}$/;
const NAME = /^(\d{16})\.spool$/;

/**
 * Batches on the disk until a server acknowledged them, each with the next number of one source. Bounded: when it is
 * full, or the disk is, the oldest go, and a gap says how many. What was appended survives the end of the process at
 * any moment, not that of the machine: it is not synced.
 */
export class Spool {
  /** New for each directory that is made: the numbers of a source never begin again. */
  readonly source: string;
  readonly #options: SpoolOptions;
  readonly #segments: Segment[];
  #gap: SpoolGap | undefined;
  /** All before it are acknowledged. */
  #start: number;
  /** Is not sent any more; what comes before it is, first. */
  #givenUp: number | undefined;

  private constructor(options: SpoolOptions, source: string) {
    this.#options = options;
    this.source = source;
    this.#gap = readGap(this.#path("gap.json"));
    this.#segments = listSegments(options.directory).map((first) => readSegment(this.#segmentPath(first), first));
    this.#start = this.#gap?.first ?? this.#segments[0]?.first ?? 0;
    this.#removeThrough((this.#gap?.through ?? -1) + 1);
  }

  /** Fails with `state.corrupt` when what is there cannot be read. */
  static open(options: SpoolOptions): Spool {
    mkdirSync(options.directory, { recursive: true, mode: 0o700 });
    return new Spool(options, openSource(join(options.directory, "source")));
  }

  /** Bytes that are not acknowledged yet. */
  get depth(): number {
    return this.#segments.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** Takes one batch, which knows its number. What finds no room at all is part of the gap. */
  append(encode: (offset: number) => Uint8Array): void {
    const offset = this.#next;
    const record = frame(encode(offset));
    let hasRoom = true;
    while (hasRoom && this.depth > 0 && this.depth + record.length > this.#options.maxBytes) {
      hasRoom = this.#dropOldest();
    }
    if (hasRoom && (this.#write(record) || (this.#dropOldest() && this.#write(record)))) return;
    this.#widenGap({ through: offset, batches: 1, bytes: record.length });
  }

  /** The next part of at most about this size; `undefined` when all is acknowledged. */
  read(maxBytes: number): SpoolPart | undefined {
    this.#dropGivenUp();
    const batches: SpooledBatch[] = [];
    let bytes = 0;
    for (const batch of this.#unsent()) {
      bytes += batch.bytes.length;
      if (batch.offset === this.#givenUp || (bytes > maxBytes && batches.length > 0)) break;
      batches.push(batch);
    }
    return batches.length === 0 && this.#gap === undefined ? undefined : { gap: this.#gap, batches };
  }

  *#unsent(): Generator<SpooledBatch> {
    for (const { first } of this.#segments) {
      for (const [at, bytes] of readRecords(this.#segmentPath(first)).entries()) {
        if (first + at >= this.#firstUnsent) yield { offset: first + at, bytes };
      }
    }
  }

  get #firstUnsent(): number {
    return Math.max(this.#start, (this.#gap?.through ?? -1) + 1);
  }

  /** Forgets what the server has. */
  acknowledge(offset: number): void {
    this.#start = Math.max(this.#start, offset + 1);
    if (this.#gap !== undefined && this.#gap.through <= offset) this.#saveGap(undefined);
    this.#removeThrough(offset + 1);
  }

  /** A server that expects an earlier batch than there is lost it: it is told that these do not come again. */
  expect(offset: number): void {
    const first = this.#gap?.first ?? Math.max(this.#start, this.#segments[0]?.first ?? this.#next);
    if (offset >= first) return;
    const { through = first - 1, batches = 0, bytes = 0 } = this.#gap ?? {};
    const capturedAt = this.#options.now();
    this.#saveGap({ first: offset, through, batches: batches + first - offset, bytes, capturedAt });
  }

  /** Gives up a batch that the server takes never: this one, or the first that would be sent. */
  giveUp(offset: number | undefined): void {
    const isThere = offset !== undefined && offset >= this.#firstUnsent && offset < this.#next;
    const [first] = this.#unsent();
    this.#givenUp = isThere ? offset : first?.offset;
  }

  /** Once it would be the next to be sent it is part of the gap. */
  #dropGivenUp(): void {
    const [first] = this.#givenUp === undefined ? [] : this.#unsent();
    if (first === undefined || first.offset < (this.#givenUp ?? 0)) return;
    const { offset: through, bytes } = first;
    if (through === this.#givenUp) this.#widenGap({ through, batches: 1, bytes: bytes.length });
    this.#givenUp = undefined;
  }

  get #next(): number {
    const last = this.#segments.at(-1);
    const stored = last === undefined ? this.#start : last.first + last.count;
    return Math.max(stored, (this.#gap?.through ?? -1) + 1);
  }

  #write(record: Buffer): boolean {
    const next = this.#next;
    const last = this.#segments.at(-1);
    const continues = last !== undefined && last.bytes < SEGMENT_BYTES && last.first + last.count === next;
    const segment = continues ? last : { first: next, count: 0, bytes: 0 };
    try {
      writeFileSync(this.#segmentPath(segment.first), record, { flag: "a", mode: 0o600 });
    } catch {
      // Half a record on a full disk: cut off, or found and cut off at the next start.
      cut(this.#segmentPath(segment.first), segment.bytes);
      return false;
    }
    segment.count += 1;
    segment.bytes += record.length;
    if (!continues) this.#segments.push(segment);
    return true;
  }

  /** False when the disk did not let go of it. */
  #dropOldest(): boolean {
    const [oldest] = this.#segments;
    if (oldest === undefined) return false;
    const kept = Math.max(0, this.#firstUnsent - oldest.first);
    // On record first: what is gone then is known to be.
    const through = oldest.first + oldest.count - 1;
    if (oldest.count > kept) this.#widenGap({ through, batches: oldest.count - kept, bytes: oldest.bytes });
    return this.#removeThrough(through + 1);
  }

  #widenGap({ through, batches, bytes }: Pick<SpoolGap, "through" | "batches" | "bytes">): void {
    const before = this.#gap;
    const first = before?.first ?? this.#start;
    const sums = { batches: (before?.batches ?? 0) + batches, bytes: (before?.bytes ?? 0) + bytes };
    this.#saveGap({ first, through, ...sums, capturedAt: this.#options.now() });
  }

  #saveGap(gap: SpoolGap | undefined): void {
    this.#gap = gap;
    const path = this.#path("gap.json");
    try {
      if (gap === undefined) rmSync(path, { force: true });
      else writeFileSync(path, JSON.stringify(gap), { mode: 0o600 });
    } catch {
      // A full disk: after a crash the gap shows by the numbers that are not there, without its counts.
    }
  }

  /** Removes segments whose batches all come before this offset. False when the disk refuses it: they stay for later. */
  #removeThrough(offset: number): boolean {
    try {
      for (;;) {
        const [oldest] = this.#segments;
        if (oldest === undefined || oldest.first + oldest.count > offset) return true;
        if (this.#segments.length === 1) {
          if (oldest.first === offset) return true;
          // An empty one comes after the last: its name says where numbers go on.
          writeFileSync(this.#segmentPath(offset), "", { mode: 0o600 });
          this.#segments.push({ first: offset, count: 0, bytes: 0 });
        }
        rmSync(this.#segmentPath(oldest.first), { force: true });
        this.#segments.shift();
      }
    } catch {
      // A disk that is full may not even take a name.
      return false;
    }
  }

  #segmentPath(first: number): string {
    return this.#path(`${String(first).padStart(16, "0")}.spool`);
  }

  #path(name: string): string {
    return join(this.#options.directory, name);
  }
}

/** The name that was made with the directory. Half of one, of a full disk or a crash, has named nothing yet. */
function openSource(path: string): string {
  const stored = readIfThere(path)?.toString() ?? "";
  if (SOURCE.test(stored)) return stored;
  const source = `node-${toHex(systemRandom.bytes(SOURCE_BYTES))}`;
  writeFileSync(`${path}.tmp`, source, { mode: 0o600 });
  renameSync(`${path}.tmp`, path);
  return source;
}

function frame(bytes: Uint8Array): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32LE(bytes.length);
  header.writeUInt32LE(crc32(bytes), 4);
  return Buffer.concat([header, bytes]);
}

function listSegments(directory: string): readonly number[] {
  const names = readdirSync(directory).flatMap((name) => NAME.exec(name)?.[1] ?? []);
  return names.map(Number).sort((a, b) => a - b);
}

/** What of a segment is whole; a tail that a crash tore is cut off. */
function readSegment(path: string, first: number): Segment {
  const records = readRecords(path);
  const bytes = records.reduce((sum, record) => sum + HEADER_BYTES + record.length, 0);
  cut(path, bytes);
  return { first, count: records.length, bytes };
}

function readRecords(path: string): readonly Buffer[] {
  const bytes = readIfThere(path) ?? Buffer.alloc(0);
  const records: Buffer[] = [];
  for (let at = 0; at + HEADER_BYTES <= bytes.length; ) {
    const end = at + HEADER_BYTES + bytes.readUInt32LE(at);
    const record = bytes.subarray(at + HEADER_BYTES, end);
    if (end > bytes.length || crc32(record) !== bytes.readUInt32LE(at + 4)) break;
    records.push(record);
    at = end;
  }
  return records;
}

function readGap(path: string): SpoolGap | undefined {
  const stored = readIfThere(path);
  try {
    return stored === undefined ? undefined : (JSON.parse(stored.toString()) as SpoolGap);
  } catch {
    // Half written by a crash: the numbers that are missing show it all the same.
    return undefined;
  }
}

/** What cannot be read is not taken for absent: its numbers would be given anew. Fails with `state.corrupt`. */
function readIfThere(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch (cause) {
    if (errorCode(cause) === "ENOENT") return undefined;
    throw new Problem("state.corrupt", { detail: `${path}: ${errorCode(cause)}.`, cause });
  }
}

function cut(path: string, bytes: number): void {
  try {
    truncateSync(path, bytes);
  } catch {
    // There is no such file yet.
  }
}
