import { createWriteStream, renameSync, type WriteStream } from "node:fs";
import { join } from "node:path";
import type { Readable } from "node:stream";

const MAX_FILE_BYTES = 8 * 1_048_576;

/** What a detached run writes, in `output.log`; at its bound the file moves to `output.log.1`, the one before goes. */
export class OutputLog implements AsyncDisposable {
  readonly #path: string;
  #stream: WriteStream;
  #bytes = 0;

  constructor(runDir: string) {
    this.#path = join(runDir, "output.log");
    this.#stream = this.#open();
  }

  /** Follows a stream to its end, holding it up while the disk is slower. */
  follow(source: Readable): void {
    source.on("data", (chunk: Buffer) => {
      this.#bytes += chunk.length;
      if (!this.#stream.write(chunk)) {
        source.pause();
        this.#stream.once("drain", () => source.resume());
      }
      if (this.#bytes > MAX_FILE_BYTES) this.#rotate();
    });
  }

  #rotate(): void {
    this.#stream.end();
    this.#bytes = 0;
    renameSync(this.#path, `${this.#path}.1`);
    this.#stream = this.#open();
  }

  #open(): WriteStream {
    const stream = createWriteStream(this.#path, { flags: "a", mode: 0o600 });
    // A full disk must not stop the run; what it says is lost until there is room.
    stream.on("error", () => stream.destroy());
    return stream;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return new Promise((resolve) => {
      if (this.#stream.destroyed) resolve();
      else this.#stream.end(() => resolve());
    });
  }
}
