import type { ScrubbedValue } from "../snapshot/run-snapshot.ts";
import { MIN_VALUE_BYTES, type Occurrence, ValueFinder } from "./value-finder.ts";

const SPACE = 32;
const NOTHING = Buffer.alloc(0);

/**
 * Overwrites real values in what goes back to a sandbox with placeholders of the same length, so framing stands. One
 * instance follows one body at a time. The outcome is that of one pass over the whole body, however it is split.
 *
 * What it holds back must not depend on a match, or timing would tell: it is the trailing run of bytes that a value
 * could still go on through, at most the longest value minus one. Space ends that run, except the very sorts of it that
 * stand in a value.
 */
export class Scrubber {
  readonly #values: readonly ScrubbedValue[];
  #compiled: CompiledValues | undefined;
  /** The bytes held back, as they came; and as they will go out. */
  #held: Buffer = NOTHING;
  #heldOut: Buffer = NOTHING;

  constructor(values: readonly ScrubbedValue[]) {
    this.#values = values.filter(({ value }) => Buffer.byteLength(value) >= MIN_VALUE_BYTES);
  }

  /** Whether there is anything to look for. */
  get isIdle(): boolean {
    return this.#values.length === 0;
  }

  /** A head's text (latin1), overwritten as a whole. */
  head(text: string): string {
    if (this.isIdle) return text;
    const bytes = Buffer.from(text, "latin1");
    const { finder, overwrites } = this.#compile();
    const found = finder.find(bytes, 0);
    if (found.length === 0) return text;
    overwrite(bytes, found, overwrites);
    return bytes.toString("latin1");
  }

  /** What may go out now. */
  push(chunk: Buffer): Buffer {
    if (this.isIdle || chunk.length === 0) return this.isIdle ? chunk : NOTHING;
    const { finder, overwrites, runs } = this.#compile();
    const before = this.#held.length;
    const bytes = before === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    const found = finder.find(bytes, before);
    let out = bytes;
    if (found.length > 0 || this.#heldOut !== this.#held) {
      out = Buffer.concat([this.#heldOut, chunk]);
      overwrite(out, found, overwrites);
    }
    const cut = bytes.length - trailingBytes(bytes, runs);
    // Copies: a slice would keep the whole chunk alive, and the caller may use its memory again.
    this.#held = Buffer.from(bytes.subarray(cut));
    this.#heldOut = out === bytes ? this.#held : Buffer.from(out.subarray(cut));
    return out.subarray(0, cut);
  }

  /** What was held back, at the end of the body. */
  end(): Buffer {
    const rest = this.#heldOut;
    this.#held = NOTHING;
    this.#heldOut = NOTHING;
    return rest;
  }

  /** At the first use, and once: it costs more than a small body. After `end` the scrubber may serve another one. */
  #compile(): CompiledValues {
    this.#compiled ??= compile(this.#values);
    return this.#compiled;
  }
}

/** A trailing run that is held back: how long at most, and which bytes up to a space do not end it. */
interface HeldRun {
  readonly maxBytes: number;
  readonly spaces: Buffer;
}

interface CompiledValues {
  readonly finder: ValueFinder;
  readonly overwrites: readonly Buffer[];
  readonly runs: readonly HeldRun[];
}

function compile(values: readonly ScrubbedValue[]): CompiledValues {
  const sought = values.map(({ value }) => Buffer.from(value));
  const runs = new Map<string, HeldRun>();
  for (const value of sought) {
    const spaces = Buffer.from([...new Set(value.filter((byte) => byte <= SPACE))].sort((a, b) => a - b));
    const key = spaces.toString("hex");
    runs.set(key, { spaces, maxBytes: Math.max(value.length - 1, runs.get(key)?.maxBytes ?? 0) });
  }
  return {
    finder: new ValueFinder(sought),
    overwrites: values.map(({ overwrite }, index) => fit(overwrite, sought[index]?.length ?? 0)),
    runs: [...runs.values()],
  };
}

/** Whoever states an overwrite of another length must not get the value through, nor shift the framing. */
function fit(overwrite: string, bytes: number): Buffer {
  const stated = Buffer.from(overwrite);
  return stated.length === bytes ? stated : Buffer.alloc(bytes, "*");
}

/** In the order in which a stream shows them, so that overlapping values do not depend on the split. */
function overwrite(bytes: Buffer, found: readonly Occurrence[], overwrites: readonly Buffer[]): void {
  const inOrder = found.length < 2 ? found : [...found].sort((a, b) => a.end - b.end || b.start - a.start);
  for (const { start, index } of inOrder) overwrites[index]?.copy(bytes, start);
}

function trailingBytes(bytes: Buffer, runs: readonly HeldRun[]): number {
  let held = 0;
  for (const { maxBytes, spaces } of runs) {
    const most = Math.min(maxBytes, bytes.length);
    let run = 0;
    while (run < most && !endsRun(bytes[bytes.length - 1 - run] ?? 0, spaces)) run += 1;
    held = Math.max(held, run);
  }
  return held;
}

function endsRun(byte: number, spaces: Buffer): boolean {
  return byte <= SPACE && !spaces.includes(byte);
}
