import { hashLeaf, numberEntry, type UnnumberedEntry } from "@gatehouse/core";
import { sha256 } from "../keys/sha256.ts";

/** An entry with its number, and the leaf that it is in the tree. */
export interface NumberedEntry {
  readonly text: string;
  readonly leaf: Uint8Array;
}

/** So many entries may wait before no more are asked for. Those of what has happened already are taken all the same. */
const MAX_WAITING = 65_536;
/** Of memory, whatever happens: some hundred bytes of each entry come to it. */
const MAX_CHARACTERS = 64 * 1_048_576;
const MAX_GROUP = 8_192;

/** Entries that have their number and are not on the disk yet, in order. */
export class WaitingEntries {
  #entries: NumberedEntry[] = [];
  #characters = 0;
  #nextSeq: number;

  constructor(nextSeq: number) {
    this.#nextSeq = nextSeq;
  }

  /** The size of the log when nothing waits any more. */
  get nextSeq(): number {
    return this.#nextSeq;
  }

  get isEmpty(): boolean {
    return this.#entries.length === 0;
  }

  /** Enough for a group of full size. */
  get fillsGroup(): boolean {
    return this.#entries.length >= MAX_GROUP;
  }

  /** No more are to be asked for. */
  get isFull(): boolean {
    return this.#entries.length >= MAX_WAITING || !this.hasRoom;
  }

  /** Whether there is memory for more. */
  get hasRoom(): boolean {
    return this.#characters < MAX_CHARACTERS;
  }

  add(entries: readonly UnnumberedEntry[]): void {
    for (const entry of entries) {
      const text = numberEntry(entry, this.#nextSeq);
      this.#entries.push({ text, leaf: hashLeaf(sha256, text) });
      this.#characters += text.length;
      this.#nextSeq += 1;
    }
  }

  /** The next group to write; it waits on until `wrote`. */
  group(): readonly NumberedEntry[] {
    return this.#entries.slice(0, MAX_GROUP);
  }

  wrote(group: readonly NumberedEntry[]): void {
    this.#entries = this.#entries.slice(group.length);
    for (const { text } of group) this.#characters -= text.length;
  }
}
