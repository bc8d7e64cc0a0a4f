/** A whole number below the bound. */
export type RandomNumber = (bound: number) => number;

/** Mulberry32: the same numbers for the same seed, so that a finding can be repeated. */
export function seededRandom(seed: number): RandomNumber {
  let state = seed >>> 0;
  return (bound) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296) * bound);
  };
}
