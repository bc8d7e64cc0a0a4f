import { type FileHandle, open, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import { errorCode } from "@gatehouse/kit";

/** What a detached run wrote, in its directory; the part before it is beside it, with `.1`. */
export const OUTPUT_FILE = "output.log";
/** Where in that file another stream begins: 8 bytes each, twice the place, one more for standard error. */
export const STREAMS_FILE = "output.streams";
/** How many bytes before both are gone, and the inode of the part before: text. Another inode there is about to change. */
export const LOST_FILE = "output.lost";
export const SWITCH_BYTES = 8;

export type OutputStream = "stdout" | "stderr";

const MAX_FILE_BYTES = 8 * 1_048_576;
const MAX_SWITCHES = 131_072;
/** How long what is still in a pipe is waited for; a child that left its run may hold one open for ever. */
const DRAIN_MS = 2_000;

/** What a detached run writes, in `output.log`; at its bound the file moves to `output.log.1`, the one before goes. */
export class OutputLog implements AsyncDisposable {
  readonly #path: string;
  readonly #streamsPath: string;
  readonly #lostPath: string;
  readonly #maxBytes: number;
  readonly #followed: Promise<void>[] = [];
  #file: FileHandle | undefined;
  #switches: FileHandle | undefined;
  #switchCount = 0;
  #stream: OutputStream = "stdout";
  #bytes = 0;
  /** Of the file before, and of all before that. */
  #keptBytes = 0;
  #lostBytes = 0;
  #turn: Promise<void> = Promise.resolve();

  constructor(runDir: string, maxBytes = MAX_FILE_BYTES) {
    this.#path = join(runDir, OUTPUT_FILE);
    this.#streamsPath = join(runDir, STREAMS_FILE);
    this.#lostPath = join(runDir, LOST_FILE);
    this.#maxBytes = maxBytes;
  }

  /** Follows a stream to its end, holding it up while the disk is slower. */
  follow(source: Readable, stream: OutputStream): void {
    this.#followed.push(this.#drain(source, stream));
  }

  async #drain(source: Readable, stream: OutputStream): Promise<void> {
    try {
      for await (const chunk of source) {
        this.#turn = this.#turn.then(() => this.#write(chunk as Buffer, stream));
        await this.#turn;
      }
    } catch {
      // The pipe broke: what came before is written, and there is no more.
    }
  }

  async #write(chunk: Buffer, stream: OutputStream): Promise<void> {
    try {
      if (this.#bytes >= this.#maxBytes || this.#switchCount >= MAX_SWITCHES) await this.#rotate();
      // First: whoever finds the file of the bytes finds that of their streams.
      this.#switches ??= await open(this.#streamsPath, "w", 0o600);
      this.#file ??= await open(this.#path, "a", 0o600);
      if (stream !== this.#stream) await this.#switchTo(stream, this.#switches);
      await this.#append(chunk, this.#file);
    } catch {
      // A full disk must not stop the run; what it says is lost until there is room.
    }
  }

  async #append(chunk: Buffer, file: FileHandle): Promise<void> {
    try {
      await file.appendFile(chunk);
      this.#bytes += chunk.length;
    } catch (failure) {
      // A part of it may have found room.
      this.#bytes = (await file.stat()).size;
      throw failure;
    }
  }

  /** Whoever reads a byte of the file finds whose it is: this is written before, over one that was cut short. */
  async #switchTo(stream: OutputStream, switches: FileHandle): Promise<void> {
    const record = Buffer.alloc(SWITCH_BYTES);
    record.writeBigUInt64BE(BigInt(this.#bytes * 2 + (stream === "stderr" ? 1 : 0)));
    const { bytesWritten } = await switches.write(record, 0, SWITCH_BYTES, this.#switchCount * SWITCH_BYTES);
    if (bytesWritten < SWITCH_BYTES) throw new Error("there was no room for the whole record");
    this.#switchCount += 1;
    this.#stream = stream;
  }

  /**
   * The move of the file itself comes last: a reader sees by its inode whether all of this was done. What fails is tried
   * again with the next bytes, from the same numbers on.
   */
  async #rotate(): Promise<void> {
    const inode = (await this.#file?.stat())?.ino ?? 0;
    const lostBytes = this.#lostBytes + this.#keptBytes;
    await writeFile(`${this.#lostPath}.new`, `${lostBytes} ${inode}`, { mode: 0o600 });
    await rename(`${this.#lostPath}.new`, this.#lostPath);
    await renameOnce(this.#streamsPath, `${this.#streamsPath}.1`);
    await rename(this.#path, `${this.#path}.1`);
    this.#lostBytes = lostBytes;
    this.#keptBytes = this.#bytes;
    this.#bytes = 0;
    const [file, switches] = [this.#file, this.#switches];
    this.#file = undefined;
    this.#switches = undefined;
    this.#switchCount = 0;
    this.#stream = "stdout";
    await file?.close();
    await switches?.close();
  }

  /** Waits a moment for what the followed streams still hold. */
  async [Symbol.asyncDispose](): Promise<void> {
    const late = new AbortController();
    await Promise.race([
      Promise.all(this.#followed),
      delay(DRAIN_MS, undefined, { signal: late.signal }).catch(() => undefined),
    ]);
    late.abort();
    await this.#turn;
    await this.#file?.close();
    await this.#switches?.close();
  }
}

/** An earlier attempt may have moved it already. */
async function renameOnce(from: string, to: string): Promise<void> {
  try {
    await rename(from, to);
  } catch (failure) {
    if (errorCode(failure) !== "ENOENT") throw failure;
  }
}
