import { type CanonicalValue, canonicalJson } from "./canonical-json.ts";

/** One line of an audit log. What does not apply is null; `data` never holds free text with a secret. */
export interface AuditEntry {
  /** From 0, without gaps. */
  readonly seq: number;
  /** Unix milliseconds. */
  readonly time: number;
  readonly org: string;
  readonly node: string | null;
  readonly run: string | null;
  readonly agent: string | null;
  /** Who did it: `operator:…`, `run:…`, `node:…`, `gate`. */
  readonly actor: string;
  /** What happened, `<thing>.<event>`. */
  readonly kind: string;
  readonly data: { readonly [key: string]: CanonicalValue };
}

/** The signed root over the first `size` entries. */
export interface AuditHead {
  readonly size: number;
  /** Base64url of the 32 bytes. */
  readonly root: string;
  /** Unix milliseconds. */
  readonly time: number;
  /** Base64url of the first 8 bytes of the key's SHA-256. */
  readonly key_id: string;
  /** Base64url Ed25519 signature over the head's tuple. */
  readonly signature: string;
  readonly witnesses: readonly CanonicalValue[];
}

/** First line of an export: which log this is, and the key that signs its heads. */
export interface AuditHeader {
  readonly gatehouse_audit: 1;
  readonly log: string;
  /** Base64url Ed25519 public key. */
  readonly key: string;
}

const ENTRY_KEYS = "actor,agent,data,kind,node,org,run,seq,time";
const HEAD_KEYS = "key_id,root,signature,size,time,witnesses";
const encoder = new TextEncoder();

/** The bytes that become a leaf: RFC 8785 of the entry. */
export function entryBytes(entry: AuditEntry): Uint8Array {
  return encoder.encode(canonicalJson(entry as unknown as CanonicalValue));
}

/** The entry of a parsed line, or `undefined` when a key is missing, unknown or of another type. */
export function asEntry(value: unknown): AuditEntry | undefined {
  if (!hasKeys(value, ENTRY_KEYS)) return undefined;
  const { seq, time, org, node, run, agent, actor, kind, data } = value;
  const isText = [org, actor, kind].every((field) => typeof field === "string");
  const isName = [node, run, agent].every((field) => field === null || typeof field === "string");
  const isData = typeof data === "object" && data !== null && !Array.isArray(data);
  return isText && isName && isData && isCount(seq) && isCount(time) ? (value as unknown as AuditEntry) : undefined;
}

/** The head of a parsed line, or `undefined`. */
export function asHead(value: unknown): AuditHead | undefined {
  if (!hasKeys(value, HEAD_KEYS)) return undefined;
  const { size, root, time, key_id, signature, witnesses } = value;
  const isText = [root, key_id, signature].every((field) => typeof field === "string");
  const isHead = isText && isCount(size) && isCount(time) && Array.isArray(witnesses);
  return isHead ? (value as unknown as AuditHead) : undefined;
}

/** The header of a parsed first line, or `undefined`. */
export function asHeader(value: unknown): AuditHeader | undefined {
  if (!hasKeys(value, "gatehouse_audit,key,log")) return undefined;
  const isHeader = value.gatehouse_audit === 1 && typeof value.log === "string" && typeof value.key === "string";
  return isHeader ? (value as unknown as AuditHeader) : undefined;
}

function hasKeys(value: unknown, keys: string): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  return Object.keys(value).sort().join(",") === keys;
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}
