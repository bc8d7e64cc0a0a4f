import { type DestinationStream, destination, type Logger, pino, stdTimeFunctions } from "pino";
import { redactFields } from "./redact-fields.ts";
import { renderText } from "./render-text.ts";
import { scrubLine } from "./scrub-line.ts";

/** In rising order of weight: error = a person must act, warn = may need to, info = state changed, debug = the rest. */
export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];
/** `json`: one object on a line. `text`: for a person at a terminal. */
export const LOG_FORMATS = ["json", "text"] as const;
export type LogFormat = (typeof LOG_FORMATS)[number];

type Fields = Readonly<Record<string, unknown>>;

/**
 * Structured log. The message is a fixed lower-case phrase, variables are fields. Values under telling key names are
 * dropped at any depth, and what looks like a secret is overwritten in the finished line.
 */
export interface Log {
  debug(message: string, fields?: Fields): void;
  info(message: string, fields?: Fields): void;
  warn(message: string, fields?: Fields): void;
  error(message: string, fields?: Fields): void;
  /** A log whose lines all carry these fields too. */
  child(fields: Fields): Log;
}

export interface LogOptions {
  readonly level: LogLevel;
  readonly format: LogFormat;
  /** Takes each finished line with its newline. Default: stderr, written before the call returns. */
  readonly write?: (line: string) => void;
}

/** Opens a log. Nothing is buffered, so nothing is lost at exit. */
export function createLog(options: LogOptions): Log {
  const write = options.write ?? writeToStderr();
  const stream: DestinationStream = {
    write: (line) => {
      const clean = scrubLine(line);
      write(options.format === "text" ? renderText(clean) : clean);
    },
  };
  const settings = {
    level: options.level,
    base: null,
    timestamp: stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  return wrap(pino(settings, stream));
}

function writeToStderr(): (line: string) => void {
  const stderr = destination({ dest: 2, sync: true });
  return (line) => void stderr.write(line);
}

function wrap(logger: Logger): Log {
  const at = (level: LogLevel) => (message: string, fields?: Fields) => {
    if (logger.isLevelEnabled(level)) logger[level](fields === undefined ? {} : safely(fields), message);
  };
  return {
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    child: (fields) => wrap(logger.child(safely(fields))),
  };
}

/** A field named like a part of the line itself would stand twice in it. */
const OWN_NAMES = ["level", "time", "msg"] as const;

function safely(fields: Fields): Record<string, unknown> {
  const kept = redactFields(fields);
  for (const name of OWN_NAMES) {
    if (!Object.hasOwn(kept, name)) continue;
    kept[`field_${name}`] = kept[name];
    delete kept[name];
  }
  return kept;
}
