import { type FileHandle, open, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";

/** What a detached run wrote, in its directory; the part before it is beside it, with `.1`. */
export const OUTPUT_FILE = "output.log";
/** How many bytes before both are gone, as text. */
export const LOST_FILE = "output.lost";

const MAX_FILE_BYTES = 8 * 1_048_576;
/** How long what is still in a pipe is waited for; a child that left its run may hold one open for ever. */
const DRAIN_MS = 2_000;

/** What a detached run writes, in `output.log`; at its bound the file moves to `output.log.1`, the one before goes. */
export class OutputLog implements AsyncDisposable {
  readonly #path: string;
  readonly #lostPath: string;
  readonly #maxBytes: number;
  readonly #followed: Promise<void>[] = [];
  #file: FileHandle | undefined;
  #bytes = 0;
  /** Of the file before, and of all before that. */
  #keptBytes = 0;
  #lostBytes = 0;
  #turn: Promise<void> = Promise.resolve();

  constructor(runDir: string, maxBytes = MAX_FILE_BYTES) {
    this.#path = join(runDir, OUTPUT_FILE);
    this.#lostPath = join(runDir, LOST_FILE);
    this.#maxBytes = maxBytes;
  }

  /** Follows a stream to its end, holding it up while the disk is slower. */
  follow(source: Readable): void {
    this.#followed.push(this.#drain(source));
  }

  async #drain(source: Readable): Promise<void> {
    try {
      for await (const chunk of source) {
        this.#turn = this.#turn.then(() => this.#write(chunk as Buffer));
        await this.#turn;
      }
    } catch {
      // The pipe broke: what came before is written, and there is no more.
    }
  }

  async #write(chunk: Buffer): Promise<void> {
    try {
      if (this.#bytes >= this.#maxBytes) await this.#rotate();
      this.#file ??= await open(this.#path, "a", 0o600);
      await this.#file.appendFile(chunk);
      this.#bytes += chunk.length;
    } catch {
      // A full disk must not stop the run; what it says is lost until there is room.
    }
  }

  async #rotate(): Promise<void> {
    if (this.#keptBytes > 0) {
      this.#lostBytes += this.#keptBytes;
      await writeFile(this.#lostPath, String(this.#lostBytes), { mode: 0o600 });
    }
    this.#keptBytes = this.#bytes;
    await rename(this.#path, `${this.#path}.1`);
    await this.#file?.close();
    this.#file = undefined;
    this.#bytes = 0;
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
  }
}
