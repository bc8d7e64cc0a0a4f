import { canonicalJson, fromBase64url, type JsonValue, Problem, readHead } from "@gatehouse/core";
import { type EarlierLog, openLogSource, verifyLog } from "@gatehouse/kit";
import { isSignedHead, readSeenHeads } from "@gatehouse/node";
import { readTextFile } from "../terminal/read-text-file.ts";

/** What this host's daemon saw of a log, its own or its organisation's, kept apart from the log itself. */
export async function seenHere(stateDir: string, log: string): Promise<readonly EarlierLog[]> {
  const { org, own } = await readSeenHeads(stateDir);
  return [org, own].flatMap((one) => (one?.log === log ? [one] : []));
}

/**
 * What a file shows of a log's beginning: an export, or one head as `nodes show --json` prints it. Fails with
 * `audit.…` where it does not hold itself.
 */
export async function readEarlier(path: string, pinned: Uint8Array | undefined): Promise<EarlierLog> {
  const head = await readHeadFile(path);
  if (head === undefined) return verifyLog(await openLogSource(path), { pinned });
  const key = pinned ?? head.key;
  if (isSignedHead({ ...head, key })) return head;
  throw new Problem("audit.tampered", { detail: `The head in ${path} is not signed by the log's key.` });
}

const MAX_HEAD_FILE_BYTES = 65_536;

/** Anything longer is an export. */
async function readHeadFile(path: string) {
  const text = await readTextFile(path, MAX_HEAD_FILE_BYTES).catch(() => "");
  const { log, key, head } = headIn(text);
  const bytes = typeof key === "string" ? fromBase64url(key) : undefined;
  if (typeof log !== "string" || bytes?.length !== 32 || head === undefined) return undefined;
  return { log, key: bytes, head: readHead(canonicalJson(head)) };
}

/** The members of the object, or of its `audit_log`. */
function headIn(text: string): { readonly [name: string]: JsonValue } {
  try {
    const value = JSON.parse(text) as unknown;
    const inner = isObject(value) && isObject(value.audit_log) ? value.audit_log : value;
    return isObject(inner) ? inner : {};
  } catch {
    return {}; // an export is many lines
  }
}

function isObject(value: unknown): value is { readonly [name: string]: JsonValue } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
