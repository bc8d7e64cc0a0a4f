import { escapeUnseen } from "@gatehouse/core";

/** Prints one JSON value on a line. What could move a terminal stands in it as an escape. */
export function printJson(value: unknown): void {
  process.stdout.write(`${escapeUnseen(JSON.stringify(value))}\n`);
}

export function printLine(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** To people, beside what a command's own output is. What somebody else said is part of many a note. */
export function note(text: string): void {
  process.stderr.write(`gatehouse: ${shownLines(text)}\n`);
}

/** Text of a sandbox, node or server as it may be shown: whole, with what a terminal would obey or hide as escapes. */
export function shown(text: string): string {
  return escapeUnseen(text);
}

/** The same of text that may have several lines. */
export function shownLines(text: string): string {
  return text.split("\n").map(shown).join("\n");
}

type Colour = "red" | "green" | "yellow" | "dim" | "bold";
const CODES: Readonly<Record<Colour, string>> = { red: "31", green: "32", yellow: "33", dim: "2", bold: "1" };

/** Colours where a terminal shows them and nobody said no (NO_COLOR). */
export function colour(text: string, name: Colour): string {
  const isOn = process.stdout.isTTY === true && (process.env.NO_COLOR ?? "") === "";
  return isOn ? `\u001b[${CODES[name]}m${text}\u001b[0m` : text;
}

const TO_THE_SECOND = /(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)\.\d{3}Z/g;

/**
 * Columns aligned by their widest cell, the last one as it is; times to the second, in UTC. Cells are text of whoever:
 * they are shown as such.
 */
export function printTable(head: readonly string[], written: readonly (readonly string[])[]): void {
  const rows = written.map((row) => row.map((cell) => shown(cell).replace(TO_THE_SECOND, "$1 $2")));
  const widths = head.map((title, at) => Math.max(title.length, ...rows.map((row) => row[at]?.length ?? 0)));
  const line = (row: readonly string[]) =>
    row.map((cell, at) => (at === row.length - 1 ? cell : cell.padEnd(widths[at] ?? 0))).join("  ");
  printLine(colour(line(head), "dim"));
  for (const row of rows) printLine(line(row));
}
