/** Where a value stands in a text. */
export interface Occurrence {
  readonly start: number;
  readonly end: number;
  /** Which of the values. */
  readonly index: number;
}

/** Shorter values cannot be told from ordinary text, and are not looked for. */
export const MIN_VALUE_BYTES = 4;
const BLOCK = 3;
// Of eight slots one is taken: most blocks of a text without values skip as far as they can.
const SLOTS_PER_BLOCK = 8;
const MAX_SLOTS = 65_536;
const MAX_SKIP = 255;

/**
 * Finds any of many values in one pass (Wu and Manber, 1994): the three bytes at the end of a window say how far it may
 * move without missing one. So the cost hardly grows with the number of values, and shrinks with their length.
 */
export class ValueFinder {
  readonly #values: readonly Buffer[];
  readonly #window: number;
  readonly #shift: number;
  readonly #skips: Uint8Array;
  /** Values whose first window ends in a block, by the block's slot. */
  readonly #candidates = new Map<number, number[]>();

  constructor(values: readonly Buffer[]) {
    this.#values = values;
    this.#window = Math.min(MAX_SKIP, ...values.map(({ length }) => length));
    const slots = Math.min(MAX_SLOTS, values.length * this.#window * SLOTS_PER_BLOCK);
    const bits = Math.ceil(Math.log2(Math.max(slots, 2)));
    this.#shift = 32 - bits;
    this.#skips = new Uint8Array(2 ** bits).fill(this.#window - BLOCK + 1);
    values.forEach((value, index) => {
      this.#learn(value, index);
    });
  }

  /** Every occurrence that ends behind `after`, overlapping ones too. */
  find(text: Buffer, after: number): readonly Occurrence[] {
    const found: Occurrence[] = [];
    const window = this.#window;
    const skips = this.#skips;
    const shift = this.#shift;
    let last = window - 1;
    while (last < text.length) {
      const slot = slotOf(text, last, shift);
      const skip = skips[slot] ?? 1;
      if (skip === 0) this.#compare(text, { start: last - window + 1, slot, after }, found);
      last += skip === 0 ? 1 : skip;
    }
    return found;
  }

  #learn(value: Buffer, index: number): void {
    for (let last = BLOCK - 1; last < this.#window; last += 1) {
      const slot = slotOf(value, last, this.#shift);
      const skip = this.#window - 1 - last;
      this.#skips[slot] = Math.min(this.#skips[slot] ?? skip, skip);
      if (skip > 0) continue;
      const known = this.#candidates.get(slot);
      if (known === undefined) this.#candidates.set(slot, [index]);
      else known.push(index);
    }
  }

  #compare(
    text: Buffer,
    at: { readonly start: number; readonly slot: number; readonly after: number },
    found: Occurrence[],
  ): void {
    const { start } = at;
    for (const index of this.#candidates.get(at.slot) ?? []) {
      const value = this.#values[index];
      if (value === undefined) continue;
      const end = start + value.length;
      if (end > at.after && end <= text.length && value.compare(text, start, end) === 0) {
        found.push({ start, end, index });
      }
    }
  }
}

/** The slot of the three bytes that end at `last`. */
function slotOf(text: Buffer, last: number, shift: number): number {
  const block = ((text[last - 2] ?? 0) << 16) | ((text[last - 1] ?? 0) << 8) | (text[last] ?? 0);
  return Math.imul(block, 0x9e3779b1) >>> shift;
}
