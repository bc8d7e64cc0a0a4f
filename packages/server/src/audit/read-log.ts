import { constantTimeEqual, encodeHead, Problem, type SignedHead, type Witness } from "@gatehouse/core";
import type { AuditLogRecords, SignedLog } from "./audit-log-records.ts";
import type { WitnessedHead, WitnessRecords } from "./witness-records.ts";

export interface LogTransaction {
  readonly orgId: string;
  readonly auditLogs: AuditLogRecords;
  readonly witnesses: WitnessRecords;
}

/** Runs work in a transaction of the organisation whose log is read. */
export type InOwnOrg = <T>(work: (tx: LogTransaction) => Promise<T>) => Promise<T>;

/** A log as far as a head covers it: that part never changes, however long the reading takes. */
export interface CoveredLog {
  readonly logId: string;
  readonly log: SignedLog;
  readonly head: SignedHead;
  /** Who countersigned its heads, by their size: nobody, where the log is a node's. */
  readonly witnesses: ReadonlyMap<number, readonly WitnessedHead[]>;
}

/** As many stand beside one head: a line of an export has its bounds, and more convince nobody more. */
const MAX_WITNESSES = 64;
const PAGE = 1_000;

/** Finds a log and its newest head. Fails with `audit.not_found`, also for another organisation's. */
export async function findCoveredLog(tx: LogTransaction, logId: string): Promise<CoveredLog> {
  const { auditLogs, orgId } = tx;
  const [log, head] = [await auditLogs.find(logId), await auditLogs.newestHead(logId)];
  if (log === undefined || head === undefined) throw new Problem("audit.not_found");
  return {
    logId,
    log,
    head,
    witnesses: logId === orgId ? Map.groupBy(await tx.witnesses.listOfOrg(), ({ size }) => size) : new Map(),
  };
}

/** The covered entries in order, a page at a time, each page in a transaction of its own. Fails with `audit.tampered`. */
export async function* coveredEntries(inOrg: InOwnOrg, { logId, head }: CoveredLog): AsyncGenerator<readonly string[]> {
  for (let from = 0; from < head.size; ) {
    const range = { from, to: head.size };
    const page = await inOrg(({ auditLogs }) => auditLogs.entries(logId, range, PAGE));
    if (page.length === 0) throw new Problem("audit.tampered", { detail: `Entry ${from} is missing.` });
    yield page.map(({ text }) => text);
    // What is missing inside is for whoever verifies: an export of it must not look whole.
    from = (page.at(-1)?.seq ?? from) + 1;
  }
}

/** Entries and heads as an export has them: each head behind the last entry that it covers. */
export async function* coveredLines(inOrg: InOwnOrg, covered: CoveredLog): AsyncGenerator<readonly string[]> {
  const heads = new HeadQueue(inOrg, covered);
  let size = 0;
  for await (const page of coveredEntries(inOrg, covered)) {
    const lines: string[] = [];
    for (const text of page) {
      lines.push(text);
      size += 1;
      const head = await heads.at(size);
      if (head !== undefined) lines.push(encodeHead(head, witnessesOf(head, covered)));
    }
    yield lines;
  }
}

function witnessesOf(head: SignedHead, { witnesses }: CoveredLog): readonly Witness[] {
  const same = witnesses.get(head.size) ?? [];
  const own = same.filter(({ time, root }) => time === head.time && constantTimeEqual(root, head.root));
  return own.slice(0, MAX_WITNESSES).map(({ nodeId: node, key, signature }) => ({ node, key, signature }));
}

/** Heads by growing size, read ahead in pages. */
class HeadQueue {
  readonly #inOrg: InOwnOrg;
  readonly #covered: CoveredLog;
  #read: SignedHead[] = [];
  #after = 0;

  constructor(inOrg: InOwnOrg, covered: CoveredLog) {
    this.#inOrg = inOrg;
    this.#covered = covered;
  }

  /** The head of exactly this size, if there is one. */
  async at(size: number): Promise<SignedHead | undefined> {
    if (this.#read.length === 0 && this.#after < this.#covered.head.size) {
      const { logId, head } = this.#covered;
      const after = this.#after;
      this.#read = [...(await this.#inOrg(({ auditLogs }) => auditLogs.heads(logId, after, PAGE)))];
      this.#after = this.#read.at(-1)?.size ?? head.size;
    }
    return this.#read[0]?.size === size ? this.#read.shift() : undefined;
  }
}
