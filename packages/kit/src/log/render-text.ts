import { escapeUnseen } from "@gatehouse/core";

const LEVEL_WIDTH = 5;

/** One JSON log line as a person reads it: `12:30:08 INFO  node started  pid=12`. What is no log line is kept. */
export function renderText(line: string): string {
  const entry = parseLine(line);
  if (entry === undefined) return line;
  const { time, level, msg, ...fields } = entry;
  const clock = typeof time === "string" ? time.slice(11, 19) : "";
  const name = typeof level === "string" ? level.toUpperCase().padEnd(LEVEL_WIDTH) : "";
  const shown = Object.entries(fields).map(([key, value]) => `${key}=${renderValue(value)}`);
  const head = `${clock} ${name} ${typeof msg === "string" ? msg : ""}`;
  const text = shown.length === 0 ? head : `${head}  ${shown.join(" ")}`;
  // A log line must not steer the terminal that shows it.
  return `${escapeUnseen(text)}\n`;
}

function parseLine(line: string): Record<string, unknown> | undefined {
  try {
    return JSON.parse(line) as Record<string, unknown>;
  } catch {
    // Logging must not fail; a line that cannot be read is shown as it is.
    return undefined;
  }
}

function renderValue(value: unknown): string {
  const isPlain = typeof value === "string" && /^[\w./:@+-]+$/.test(value);
  return isPlain ? value : JSON.stringify(value);
}
