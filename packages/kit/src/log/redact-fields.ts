import { Problem, Secret } from "@gatehouse/core";

const REDACTED = "[redacted]";
const MAX_DEPTH = 8;
const MAX_ITEMS = 100;
const MAX_STRING = 8_192;
const MAX_FRAMES = 10;

/** Parts of key names, lower case and without separators, whose values never stand in a log. */
const SENSITIVE_PARTS = [
  "authorization",
  "cookie",
  "token",
  "secret",
  "password",
  "passwd",
  "passphrase",
  "apikey",
  "privatekey",
  "credentialvalue",
  "realvalue",
  "plaintext",
  "assertion",
  "jwt",
  "sessionid",
  "enrollmentcode",
  "setupcode",
] as const;

/** Fields as they may be logged: values under sensitive key names are gone at any depth, size is bounded. */
export function redactFields(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return redactEntries(Object.entries(fields), { depth: 0, seen: new Set([fields]) });
}

interface Place {
  readonly depth: number;
  /** The objects that lead here; one that comes again is a circle. */
  readonly seen: ReadonlySet<object>;
}

function redactEntries(entries: readonly (readonly [string, unknown])[], place: Place): Record<string, unknown> {
  const kept: Record<string, unknown> = {};
  for (const [key, value] of entries.slice(0, MAX_ITEMS)) {
    const shown = isSensitive(key) && value !== undefined ? REDACTED : redactValue(value, place);
    // Defined, not assigned: `__proto__` is a key like any other here.
    Object.defineProperty(kept, key, { value: shown, enumerable: true, configurable: true, writable: true });
  }
  return kept;
}

function isSensitive(key: string): boolean {
  const plain = key.toLowerCase().replace(/[^a-z0-9]/g, "");
  return SENSITIVE_PARTS.some((part) => plain.includes(part));
}

function redactValue(value: unknown, place: Place): unknown {
  if (typeof value === "string") return value.length > MAX_STRING ? `${value.slice(0, MAX_STRING)}…` : value;
  if (typeof value === "bigint") return value.toString();
  if (typeof value === "function" || typeof value === "symbol") return `[${typeof value}]`;
  if (typeof value !== "object" || value === null) return value;
  if (place.seen.has(value)) return "[circular]";
  if (place.depth >= MAX_DEPTH) return "[too deep]";
  return redactObject(value, { depth: place.depth + 1, seen: new Set([...place.seen, value]) });
}

function redactObject(value: object, place: Place): unknown {
  if (value instanceof Secret) return value.toString();
  if (value instanceof Error) return redactError(value, place);
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? "[invalid date]" : value.toISOString();
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return `[${value.byteLength} bytes]`;
  if (value instanceof URL) return `${value.origin}${value.pathname}`;
  if (value instanceof Map)
    return redactEntries(
      [...value].map(([key, item]) => [String(key), item]),
      place,
    );
  if (Array.isArray(value) || value instanceof Set) {
    return [...value].slice(0, MAX_ITEMS).map((item) => redactValue(item, place));
  }
  return redactEntries(Object.entries(value), place);
}

function redactError(error: Error, place: Place): Record<string, unknown> {
  // The stack repeats the message, line by line; its frames alone are new.
  const frames = error.stack?.split("\n").map((line) => line.trim()) ?? [];
  const stack = frames.filter((line) => /^at .*:\d+:\d+\)?$/.test(line)).slice(0, MAX_FRAMES);
  return redactEntries(
    [
      ["type", error.name],
      ["message", error.message],
      ...(error instanceof Problem ? [] : [["stack", stack] as const]),
      ...Object.entries(error).filter(([key]) => key !== "name" && key !== "detail"),
      ...(error.cause === undefined ? [] : [["cause", error.cause] as const]),
      ...(error instanceof AggregateError ? [["errors", error.errors] as const] : []),
    ],
    place,
  );
}
