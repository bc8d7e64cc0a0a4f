import { constants, createReadStream } from "node:fs";
import { type FileHandle, open, readdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { Problem } from "@gatehouse/core";
import { errorCode } from "../files/error-code.ts";
import { openExclusiveLock } from "../files/exclusive-lock.ts";
import { readPrivateFile, removeFile } from "../files/private-file.ts";
import { syncDirectory, writeFileAtomic } from "../files/write-file-atomic.ts";
import { LAST_HEAD, type SegmentStore } from "./segment-store.ts";

const NAME = /^(\d{16})\.jsonl$/;
const FLAGS = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW;

/** A writer that lost its parent closes its log within seconds; one that does not is no reason to wait on. */
const LOCK_WAIT_MS = 10_000;
const LOCK_RETRY_MS = 20;

/** Segments as files of one directory, 0600. What is written is on the disk when `write` resolves. */
export class SegmentFolder implements SegmentStore {
  readonly #folder: string;
  readonly #lock: Disposable | undefined;
  #isReleased = false;
  #open: { readonly first: number; readonly handle: FileHandle } | undefined;

  /** Without a lock, for who only reads. */
  constructor(folder: string, lock?: Disposable) {
    this.#folder = folder;
    this.#lock = lock;
  }

  /**
   * For the one who writes. The directory must be there; while another process holds it (one that is just ending, say)
   * this waits, ten seconds where nothing else is said, and fails with `state.locked` when that goes on.
   */
  static async open(folder: string, { waitMs = LOCK_WAIT_MS } = {}): Promise<SegmentFolder> {
    for (let waitedMs = 0; waitedMs < waitMs; waitedMs += LOCK_RETRY_MS) {
      const lock = openExclusiveLock(folder);
      if (lock !== undefined) return new SegmentFolder(folder, lock);
      await delay(LOCK_RETRY_MS);
    }
    throw new Problem("state.locked", { detail: `Another process writes ${folder}.` });
  }

  async list(): Promise<readonly number[]> {
    const names = await readdir(this.#folder).catch((failure: unknown) => {
      if (errorCode(failure) === "ENOENT") throw new Problem("audit.not_found", { detail: this.#folder });
      throw failure;
    });
    return names
      .flatMap((name) => NAME.exec(name)?.[1] ?? [])
      .map(Number)
      .sort((a, b) => a - b);
  }

  read(first: number): AsyncIterable<Buffer> {
    return createReadStream(this.#path(first), { flags: "r", highWaterMark: 262_144 });
  }

  async write(first: number, offset: number, data: Buffer): Promise<void> {
    try {
      const handle = await this.#handle(first, offset);
      for (let done = 0; done < data.length; ) {
        done += (await handle.write(data, done, data.length - done, offset + done)).bytesWritten;
      }
      await handle.datasync();
    } catch (failure) {
      // After a failed sync the kernel may call pages clean that never reached the disk: all of it is written anew.
      await this.#close();
      throw failure;
    }
  }

  async setAside(first: number, offset: number): Promise<string> {
    const chunks: Buffer[] = [];
    for await (const chunk of createReadStream(this.#path(first), { start: offset })) chunks.push(chunk as Buffer);
    const name = `${nameOf(first)}.torn-${offset}`;
    await writeFileAtomic(join(this.#folder, name), Buffer.concat(chunks));
    if (offset === 0) await removeFile(this.#path(first));
    else await this.write(first, offset, Buffer.alloc(0));
    return name;
  }

  async readHead(): Promise<string | undefined> {
    return (await readPrivateFile(join(this.#folder, LAST_HEAD)))?.toString();
  }

  writeHead(text: string): Promise<void> {
    return writeFileAtomic(join(this.#folder, LAST_HEAD), text);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#close();
    if (!this.#isReleased) this.#lock?.[Symbol.dispose]();
    this.#isReleased = true;
  }

  /** The open segment; one that is opened anew is cut to `offset`, whatever an earlier failure left there. */
  async #handle(first: number, offset: number): Promise<FileHandle> {
    if (this.#open?.first === first) return this.#open.handle;
    await this.#close();
    const handle = await open(this.#path(first), FLAGS, 0o600);
    this.#open = { first, handle };
    await handle.truncate(offset);
    if (offset === 0) await syncDirectory(this.#folder);
    return handle;
  }

  async #close(): Promise<void> {
    const handle = this.#open?.handle;
    this.#open = undefined;
    // What a close reports was reported by the sync before it.
    await handle?.close().catch(() => undefined);
  }

  #path(first: number): string {
    return join(this.#folder, nameOf(first));
  }
}

function nameOf(first: number): string {
  return `${String(first).padStart(16, "0")}.jsonl`;
}
