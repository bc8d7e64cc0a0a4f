import { createReadStream, createWriteStream, type WriteStream } from "node:fs";
import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { removeFile } from "@gatehouse/kit";

/** Which records, and whether to wait for more. */
export interface RecordQuery {
  readonly run: string | undefined;
  /** The newest so many before following. */
  readonly limit: number;
  readonly follows: boolean;
  readonly signal: AbortSignal;
}

export interface RecordStoreOptions {
  readonly folder: string;
  /** Bytes of all files together. */
  readonly maxBytes: number;
  readonly maxFiles: number;
  /** Told when writing fails, and again when it works once more. */
  readonly onFailing: (isFailing: boolean) => void;
}

/** A record as it comes off the disk: what a reader filters by is its run. */
interface StoredRecord {
  readonly run?: unknown;
}

const FILE = /^requests-(\d{12})\.jsonl$/;
const MAX_FOLLOWER_QUEUE = 10_000;

/** One JSON line per request in rotated files; the oldest file goes when the bound is reached. */
export class RecordStore implements AsyncDisposable {
  readonly #options: RecordStoreOptions;
  readonly #followers = new Set<(record: StoredRecord) => void>();
  #number: number;
  /** Opened by the first record, and after a failure by the next one. */
  #stream: WriteStream | undefined;
  /** Every file before it is written to its end. */
  #ended: Promise<void> = Promise.resolve();
  #bytes = 0;
  #isFailing = false;

  private constructor(options: RecordStoreOptions, number: number) {
    this.#options = options;
    this.#number = number;
  }

  static async open(options: RecordStoreOptions): Promise<RecordStore> {
    await mkdir(options.folder, { recursive: true, mode: 0o700 });
    const numbers = await fileNumbers(options.folder);
    return new RecordStore(options, (numbers.at(-1) ?? 0) + 1);
  }

  get isFailing(): boolean {
    return this.#isFailing;
  }

  /** Takes whole lines of a worker; they are on their way to the disk when this returns. */
  add(lines: Uint8Array): void {
    if (lines.length === 0) return;
    this.#bytes += lines.length;
    this.#stream ??= this.#openFile();
    this.#stream.write(lines, (failure) => this.#setFailing(failure instanceof Error));
    if (this.#followers.size > 0) this.#tellFollowers(lines);
    if (this.#bytes > this.#options.maxBytes / this.#options.maxFiles) this.#rotate();
  }

  #tellFollowers(lines: Uint8Array): void {
    for (const line of Buffer.from(lines).toString().split("\n")) {
      const record = parseLine(line);
      if (record !== undefined) for (const follow of this.#followers) follow(record);
    }
  }

  /** Records as stored, oldest first; then, when following, new ones as they come until the signal aborts. */
  async *read(query: RecordQuery): AsyncGenerator<unknown> {
    const live: StoredRecord[] = [];
    let wake: () => void = () => undefined;
    const follow = (record: StoredRecord) => {
      if (live.length < MAX_FOLLOWER_QUEUE) live.push(record);
      wake();
    };
    if (query.follows) this.#followers.add(follow);
    const onAbort = () => wake();
    query.signal.addEventListener("abort", onAbort);
    try {
      yield* await this.#newest(query);
      while (query.follows && !query.signal.aborted) {
        const record = live.shift();
        if (record === undefined) await new Promise<void>((resolve) => (wake = resolve));
        else if (query.run === undefined || record.run === query.run) yield record;
      }
    } finally {
      this.#followers.delete(follow);
      query.signal.removeEventListener("abort", onAbort);
    }
  }

  async #newest({ run, limit, signal }: RecordQuery): Promise<readonly unknown[]> {
    await this.#flush();
    let found: unknown[] = [];
    for (const number of (await fileNumbers(this.#options.folder)).reverse()) {
      if (found.length >= limit || signal.aborted) break;
      found = [...(await readLines(this.#path(number), run)), ...found];
    }
    return found.slice(-limit);
  }

  async #flush(): Promise<void> {
    await this.#ended;
    const stream = this.#stream;
    if (stream !== undefined) await new Promise<void>((resolve) => stream.write("", () => resolve()));
  }

  #endFile(): void {
    const stream = this.#stream;
    if (stream === undefined) return;
    this.#stream = undefined;
    const end = new Promise<void>((resolve) => {
      stream.once("error", () => resolve());
      stream.end(() => resolve());
    });
    const before = this.#ended;
    this.#ended = end.then(() => before);
  }

  #rotate(): void {
    this.#endFile();
    this.#number += 1;
    this.#bytes = 0;
    // What cannot be removed now is by the next one.
    void this.#removeOldest().catch(() => undefined);
  }

  /** Leaves room for the file that is written. */
  async #removeOldest(): Promise<void> {
    await this.#ended;
    const closed = (await fileNumbers(this.#options.folder)).filter((number) => number < this.#number);
    const excess = Math.max(0, closed.length - this.#options.maxFiles + 1);
    for (const number of closed.slice(0, excess)) await removeFile(this.#path(number));
  }

  #openFile(): WriteStream {
    const stream = createWriteStream(this.#path(this.#number), { flags: "a", mode: 0o600 });
    stream.on("error", () => {
      this.#setFailing(true);
      // A stream that failed is dead.
      if (stream === this.#stream) this.#stream = undefined;
    });
    return stream;
  }

  #setFailing(isFailing: boolean): void {
    if (isFailing === this.#isFailing) return;
    this.#isFailing = isFailing;
    this.#options.onFailing(isFailing);
  }

  #path(number: number): string {
    return join(this.#options.folder, `requests-${String(number).padStart(12, "0")}.jsonl`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#endFile();
    await this.#ended;
  }
}

async function fileNumbers(folder: string): Promise<number[]> {
  const names = await readdir(folder);
  return names.flatMap((name) => (FILE.test(name) ? [Number(FILE.exec(name)?.[1])] : [])).sort((a, b) => a - b);
}

async function readLines(path: string, run: string | undefined): Promise<unknown[]> {
  const records: unknown[] = [];
  const lines = createInterface({ input: createReadStream(path).on("error", () => lines.close()) });
  for await (const line of lines) {
    const record = parseLine(line);
    if (record !== undefined && (run === undefined || record.run === run)) records.push(record);
  }
  return records;
}

/** A line that a crash cut short is left out. */
function parseLine(line: string): StoredRecord | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}
