import { Problem } from "../problem.ts";
import { canonicalJson, type JsonValue } from "./canonical-json.ts";

/** What happened, as its writer knows it; the log adds its place. */
export interface AuditEvent {
  /** Unix milliseconds. */
  readonly time: number;
  readonly run: string | null;
  /** `<project>.<agent>`, or `<agent>`. */
  readonly agent: string | null;
  /** Who did it, as far as the writer knows. */
  readonly actor: string;
  readonly kind: string;
  readonly data: { readonly [name: string]: JsonValue };
}

/** One entry of a log. Every member is always there; what is absent is null. */
export interface AuditEntry extends AuditEvent {
  /** From 0, without a gap. */
  readonly seq: number;
  readonly org: string | null;
  readonly node: string | null;
}

/** The last moment of which ECMAScript's dates can speak: whoever shows a later one would fail. */
const MAX_TIME = 8_640_000_000_000_000;

/** Whether a number is a time of a log: Unix milliseconds. */
export function isAuditTime(value: JsonValue | undefined): value is number {
  return typeof value === "number" && value >= 0 && value <= MAX_TIME;
}

const MEMBERS = "actor,agent,data,kind,node,org,run,seq,time";

/** An entry that has no number yet: the text before it and behind it. Neither holds a line feed. */
export interface UnnumberedEntry {
  readonly before: string;
  readonly after: string;
}

/**
 * Everything of an entry but its number, so that whoever meets the event can write it down for the one who numbers it.
 * Text that is not canonical and numbers that are no integers throw RangeError.
 */
export function encodeUnnumbered(event: AuditEvent, { org, node }: Pick<AuditEntry, "org" | "node">): UnnumberedEntry {
  const { actor, agent, data, kind, run, time } = event;
  const text = canonicalJson({ actor, agent, data, kind, node, org, run });
  return { before: `${text.slice(0, -1)},"seq":`, after: `,"time":${canonicalJson(time)}}` };
}

/** The text whose bytes are hashed. */
export function encodeEntry(entry: AuditEntry): string {
  return numberEntry(encodeUnnumbered(entry, entry), entry.seq);
}

/** `encodeEntry` of what has its number now. */
export function numberEntry({ before, after }: UnnumberedEntry, seq: number): string {
  return `${before}${seq}${after}`;
}

/**
 * Reads one line of a log. Fails with `audit.tampered` unless it is exactly the canonical text of an entry: in any other
 * text two readers could see two entries.
 */
export function readEntry(line: string): AuditEntry {
  const value = readCanonical(line);
  if (Object.keys(value).join() !== MEMBERS) throw tampered("it has not the members of an entry");
  const { actor, agent, data, kind, node, org, run, seq, time } = value as Record<string, JsonValue>;
  const isWellTyped =
    [actor, kind].every((text) => typeof text === "string") &&
    [agent, node, org, run].every((text) => text === null || typeof text === "string") &&
    typeof seq === "number" &&
    seq >= 0 &&
    isAuditTime(time) &&
    typeof data === "object" &&
    data !== null &&
    !Array.isArray(data);
  if (!isWellTyped) throw tampered("a member has another type");
  return value as unknown as AuditEntry;
}

/** Parses a line that must be the canonical text of one object. */
export function readCanonical(line: string): { readonly [name: string]: JsonValue } {
  let value: unknown;
  try {
    value = JSON.parse(line);
    if (canonicalJson(value as JsonValue) !== line) throw tampered("it is not written in the canonical form");
  } catch (cause) {
    if (cause instanceof Problem) throw cause;
    throw tampered("it is not JSON in the canonical form");
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw tampered("it is no object");
  return value as { readonly [name: string]: JsonValue };
}

function tampered(detail: string): Problem {
  return new Problem("audit.tampered", { detail });
}
