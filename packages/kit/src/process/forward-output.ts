import type { Readable } from "node:stream";
import { StringDecoder } from "node:string_decoder";
import { LOG_LEVELS, type Log, type LogLevel } from "../log/log.ts";

/** A longer line is cut in pieces, so that a child cannot fill our memory. */
const MAX_LINE_CHARACTERS = 32_768;

/**
 * Writes a child's output to the log line by line. A line of our own log format keeps its level, message and fields;
 * any other becomes a field. `process` names the child that spoke first.
 */
export function forwardOutput(stream: Readable, name: string, log: Log): void {
  const decoder = new StringDecoder("utf8");
  let pending = "";
  const emit = (text: string) => {
    const lines = text.split("\n");
    pending = lines.pop() ?? "";
    for (const line of lines) forwardLine(line, name, log);
    while (pending.length > MAX_LINE_CHARACTERS) {
      forwardLine(pending.slice(0, MAX_LINE_CHARACTERS), name, log);
      pending = pending.slice(MAX_LINE_CHARACTERS);
    }
  };
  stream.on("data", (chunk: Buffer) => emit(pending + decoder.write(chunk)));
  stream.on("end", () => {
    forwardLine(pending + decoder.end(), name, log);
    pending = "";
  });
  stream.on("error", (failure) => log.warn("output of a process was lost", { process: name, failure }));
}

function forwardLine(line: string, name: string, log: Log): void {
  if (line.trim() === "") return;
  const entry = parseEntry(line);
  if (entry === undefined) log.info("process wrote", { process: name, line });
  else log[entry.level](entry.message, { process: name, ...entry.fields });
}

interface Entry {
  readonly level: LogLevel;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

function parseEntry(line: string): Entry | undefined {
  if (!line.startsWith("{")) return undefined;
  let value: Record<string, unknown>;
  try {
    value = JSON.parse(line) as Record<string, unknown>;
  } catch {
    return undefined;
  }
  const { level, msg, time: _time, ...fields } = value;
  const known = LOG_LEVELS.find((name) => name === level);
  return known === undefined || typeof msg !== "string" ? undefined : { level: known, message: msg, fields };
}
