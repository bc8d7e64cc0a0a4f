import type { TerminalSize as Size } from "@gatehouse/kit";
import type { TerminalSize } from "@gatehouse/wire";

/** The size of a terminal as a command or a stream gives it; it was checked when it came. */
export function sizeOf({ rows, columns }: TerminalSize): Size {
  return { rows, columns };
}
