import { AuditVerifier, constantTimeEqual, type LogIdentity, Problem, type SignedHead } from "@gatehouse/core";
import type { LogSource } from "./log-source.ts";
import { VERIFIER_DEPS } from "./recover-log.ts";
import type { SegmentHeader } from "./segment-header.ts";

/** A log that is what was signed. */
export interface VerifiedLog extends LogIdentity {
  /** All entries, those behind the last head too. */
  readonly entries: number;
  readonly heads: number;
  /** Entries behind the last head, which nothing signed protects yet. */
  readonly unprotected: number;
  readonly head: SignedHead;
  /** Keys that countersigned heads, base64url, each with the entries of the last head that it did. */
  readonly witnesses: ReadonlyMap<string, number>;
}

/** What was seen or verified before of the same log. */
export interface EarlierLog {
  readonly log: string;
  readonly head: Pick<SignedHead, "size" | "root">;
}

export interface VerifyOptions {
  /** The key that must have signed the heads. */
  readonly pinned?: Uint8Array | undefined;
  /** The log must begin with each of them. */
  readonly earlier?: readonly EarlierLog[];
}

/**
 * Reads a whole log and checks it: every entry in its place, every head signed by the log's key and over exactly the
 * entries before it, every countersignature holding. Fails with `audit.tampered`, naming the first entry that is wrong,
 * and `audit.not_found`. Memory does not grow with the log.
 */
export async function verifyLog(source: LogSource, { pinned, earlier = [] }: VerifyOptions = {}): Promise<VerifiedLog> {
  // Before the entries: a log that is written to meanwhile only grows.
  const lastHead = await source.lastHead();
  let followed: Followed | undefined;
  for await (const part of source.read()) {
    if ("header" in part) followed = follow(followed, part.header);
    else for (const line of part.lines) push(followed, line, earlier);
  }
  if (followed === undefined) throw tampered("It has no first line.");
  const { identity, verifier } = followed;
  const { size, unprotected, heads, witnesses } = verifier;
  if (lastHead !== undefined && size < lastHead.size) {
    throw tampered(`Entries ${size} to ${lastHead.size - 1} are missing at its end.`);
  }
  if (pinned !== undefined) requireKey(identity, pinned);
  for (const one of earlier) requireLonger(followed, one);
  return { ...identity, entries: size, heads, unprotected, witnesses, head: requireHead(verifier, source.isExport) };
}

/** Which log it says that it is; nothing is checked. Fails with `audit.tampered`, `audit.not_found`. */
export async function readLogId(source: LogSource): Promise<string> {
  for await (const part of source.read()) if ("header" in part) return part.header.log;
  throw tampered("It has no first line.");
}

function requireKey({ key }: LogIdentity, pinned: Uint8Array): void {
  if (constantTimeEqual(pinned, key)) return;
  throw tampered("Its heads are signed by another key than the one that was given.");
}

function requireLonger({ identity, verifier }: Followed, { log, head }: EarlierLog): void {
  if (log !== identity.log) throw tampered("What was seen earlier is of another log.");
  if (verifier.size < head.size) throw tampered(`Entries ${verifier.size} to ${head.size - 1} are missing at its end.`);
}

function push(followed: Followed | undefined, line: string, earlier: readonly EarlierLog[]): void {
  if (followed?.verifier.push(line) === undefined) return;
  const { size, tree } = followed.verifier;
  const here = earlier.filter(({ head }) => head.size === size);
  if (here.every(({ head }) => constantTimeEqual(tree.root(), head.root))) return;
  throw tampered(`The first ${size} entries are not those that were seen earlier.`);
}

function requireHead({ head, size, unprotected }: AuditVerifier, isExport: boolean): SignedHead {
  if (head === undefined && !isExport) {
    throw new Problem("audit.not_found", { detail: "No head is signed yet: start the daemon, which signs one." });
  }
  if (head === undefined) throw tampered("It holds no head: nothing protects its entries.");
  if (!isExport || unprotected === 0) return head;
  throw tampered(`It does not end with a head: what followed entry ${size - 1} was cut off.`);
}

interface Followed {
  readonly identity: LogIdentity;
  readonly verifier: AuditVerifier;
}

function follow(before: Followed | undefined, { log, key, tree }: SegmentHeader): Followed {
  if (before === undefined) {
    if (tree.size > 0) throw tampered(`Entries 0 to ${tree.size - 1} are missing.`);
    const identity = { log, key };
    return { identity, verifier: new AuditVerifier(VERIFIER_DEPS, identity) };
  }
  const { identity, verifier } = before;
  if (tree.size > verifier.size) throw tampered(`Entries ${verifier.size} to ${tree.size - 1} are missing.`);
  const isNext = tree.size === verifier.size && constantTimeEqual(tree.root(), verifier.tree.root());
  if (!isNext || log !== identity.log || !constantTimeEqual(key, identity.key)) {
    throw tampered(`The segment that begins with entry ${tree.size} is not the next one of this log.`);
  }
  return before;
}

function tampered(detail: string): Problem {
  return new Problem("audit.tampered", { detail });
}
