import type { TerminalSize } from "@gatehouse/kit";

/** The terminal at which this command was called. */
export interface OwnTerminal {
  readonly size: TerminalSize;
  /** What programs are told of it. */
  readonly env: { readonly TERM: string };
}

/** `undefined` where input or output is none: programs get pipes then. */
export function ownTerminal(): OwnTerminal | undefined {
  if (process.stdin.isTTY !== true || process.stdout.isTTY !== true) return undefined;
  const { TERM = "dumb" } = process.env;
  return { size: windowSize(), env: { TERM } };
}

/** A terminal that does not know its size has that of old. */
export function windowSize(): TerminalSize {
  const { rows, columns } = process.stdout;
  return { rows: rows || 24, columns: columns || 80 };
}
