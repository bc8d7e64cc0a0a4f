import { Problem } from "@gatehouse/core";

/** A 64-bit number of the wire as a number that loses nothing. Fails with `api.malformed`. */
export function toSafeNumber(value: bigint): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number)) throw new Problem("api.malformed", { detail: "A number is out of range." });
  return number;
}
