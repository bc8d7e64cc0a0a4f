import type { ScrubbedValue } from "../snapshot/run-snapshot.ts";
import { type Reading, readEscapes } from "./read-escapes.ts";
import { MIN_VALUE_BYTES, type Occurrence, ValueFinder } from "./value-finder.ts";

const SPACE = 32;

/** A trailing run that is held back: how long at most, and which bytes up to a space do not end it. */
export interface HeldRun {
  readonly maxBytes: number;
  readonly spaces: Buffer;
}

interface Search {
  /** Absent where nothing is escaped. */
  readonly reading: Reading | undefined;
  readonly after: number;
  readonly afterRead: number;
}

/** The values that must not come back to a run. Prepared at the first use and once: it costs more than a small body. */
export class SoughtValues {
  readonly #values: readonly ScrubbedValue[];
  #compiled: CompiledValues | undefined;

  constructor(values: readonly ScrubbedValue[]) {
    this.#values = values.filter(({ value }) => Buffer.byteLength(value) >= MIN_VALUE_BYTES);
  }

  /** Whether there is anything to look for. */
  get isEmpty(): boolean {
    return this.#values.length === 0;
  }

  get runs(): readonly HeldRun[] {
    return this.#compile().runs;
  }

  /** Overwrites in a head as a whole, in place. */
  scrubHead(head: Buffer): void {
    if (this.isEmpty) return;
    const found = this.findAll(head, { reading: readEscapes(head, true), after: 0, afterRead: 0 });
    if (found.length > 0) this.overwrite(head, found);
  }

  /** Occurrences that end behind `after` bytes of the text, or behind `afterRead` characters of its reading. */
  findAll(text: Buffer, { reading, after, afterRead }: Search): readonly Occurrence[] {
    const { finder } = this.#compile();
    const found = finder.find(text, after);
    if (reading === undefined) return found;
    const read = finder.find(reading.bytes, afterRead);
    const place = ({ start, end, index }: Occurrence): Occurrence => ({
      start: reading.offsetOf(start),
      end: reading.offsetOf(end),
      index,
    });
    return read.length === 0 ? found : [...found, ...read.map(place)];
  }

  /** In the order in which a stream shows them, so that overlapping values do not depend on the split. */
  overwrite(bytes: Buffer, found: readonly Occurrence[]): void {
    const { overwrites } = this.#compile();
    const inOrder = found.length < 2 ? found : [...found].sort((a, b) => a.end - b.end || b.start - a.start);
    // Where a value stands escaped, its overwrite is repeated over the escapes' length.
    for (const { start, end, index } of inOrder) bytes.fill(overwrites[index] ?? "*", start, end);
  }

  #compile(): CompiledValues {
    this.#compiled ??= compile(this.#values);
    return this.#compiled;
  }
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
