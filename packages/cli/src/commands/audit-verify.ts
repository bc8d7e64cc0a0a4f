import { open } from "node:fs/promises";
import { base64url, fromBase64url, Problem, toProblem } from "@gatehouse/core";
import { keysFor, openLogSource, readLogId, type VerifiedLog, verifyLog } from "@gatehouse/kit";
import { readEarlier, seenHere } from "../audit/seen-earlier.ts";
import { type Invocation, isSet, textOption } from "../invocation.ts";
import { isOperators } from "../operator/is-operators.ts";
import { OperatorFiles } from "../operator/operator-files.ts";
import { printJson, printLine, shown } from "../terminal/print.ts";
import { readTextFile } from "../terminal/read-text-file.ts";

/** A log that holds, and what else was asked of it. */
interface Verdict extends VerifiedLog {
  readonly trust: "pinned" | "unpinned";
  readonly witnessTrust: "pinned" | "unpinned";
  /** Entries of the largest head that was seen before and is in it; 0: none was. */
  readonly seen: number;
}

/** Checks an export, or a log where it is written. Asks nobody. Ends with 4 when it is not what was signed. */
export async function verifyAudit(invocation: Invocation): Promise<number> {
  const isJson = isSet(invocation, "json");
  try {
    const verdict = await judge(invocation);
    if (isJson) printJson(asJson(verdict));
    else printVerdict(verdict);
    return 0;
  } catch (failure) {
    const { code, detail, row } = toProblem(failure);
    if (!isJson || code !== "audit.tampered") throw failure;
    printJson({ ok: false, code, detail });
    return row.exit;
  }
}

async function judge(invocation: Invocation): Promise<Verdict> {
  const { dir } = invocation.config.state;
  const [given] = await readKeys(textOption(invocation, "key"), 1);
  const trusted = await readKeys(textOption(invocation, "witnesses"), MAX_WITNESSES);
  const path = invocation.args[0] ?? dir;
  const source = await openLogSource(path);
  if (source.isExport) await requireExport(path);
  const log = await readLogId(source).catch(refuseAbsent(invocation));
  const pinned = given ?? (await serversKey(invocation, log));
  const file = textOption(invocation, "earlier");
  const asked = file === undefined ? [] : [await readEarlier(file, pinned)];
  const earlier = [...asked, ...(await seenHere(dir, log))];
  const verified = await verifyLog(source, { pinned, earlier });
  const known = new Set(trusted.map(base64url));
  const witnesses = new Map([...verified.witnesses].filter(([key]) => known.size === 0 || known.has(key)));
  return {
    ...verified,
    witnesses,
    trust: pinned === undefined ? "unpinned" : "pinned",
    witnessTrust: known.size === 0 ? "unpinned" : "pinned",
    seen: Math.max(0, ...earlier.map(({ head }) => head.size)),
  };
}

/** What an operator's machine knows its organisation's log by, from the server that it pinned. */
async function serversKey({ config }: Invocation, log: string): Promise<Uint8Array | undefined> {
  if (!isOperators({ config })) return undefined;
  const server = await (await OperatorFiles.open(config.state.dir)).server();
  return server?.orgId === log ? keysFor(server.keySet, "audit")[0]?.key : undefined;
}

/** An operator's machine need not have a log of its own; what to do there is another thing. */
function refuseAbsent(invocation: Invocation): (failure: unknown) => never {
  return (failure) => {
    const isOther = invocation.args[0] !== undefined || !isOperators(invocation);
    if (isOther || toProblem(failure).code !== "audit.not_found") throw failure;
    const how = "The organisation's: gatehouse audit export --out FILE, then gatehouse audit verify FILE.";
    throw new Problem("audit.not_found", { detail: `This machine has no log of its own. ${how}`, cause: failure });
  };
}

/**
 * A file in which nothing of an export is was never one; of one that has anything of it, whatever differs was changed.
 * Fails with `audit.not_export`.
 */
async function requireExport(path: string): Promise<void> {
  await using file = await open(path);
  const { bytesRead, buffer } = await file.read(Buffer.alloc(BEGINNING_BYTES), 0, BEGINNING_BYTES, 0);
  const beginning = buffer.toString("latin1", 0, bytesRead);
  if (OF_AN_EXPORT.some((key) => beginning.includes(key))) return;
  throw new Problem("audit.not_export", { detail: `${path} holds nothing of one.` });
}

const BEGINNING_BYTES = 65_536;
const OF_AN_EXPORT = ['"gatehouse_audit"', '"seq"', '"key_id"', '"log"'];

function asJson({ log, key, entries, heads, unprotected, head, ...rest }: Verdict): object {
  const { witnesses, witnessTrust, trust, seen } = rest;
  return {
    ok: true,
    log,
    key: base64url(key),
    trust,
    entries,
    heads,
    unprotected,
    head: { size: head.size, root: base64url(head.root), time: new Date(head.time).toISOString() },
    witnesses: witnesses.size,
    witness_trust: witnessTrust,
    witnessed: witnessedSize(witnesses),
    seen,
  };
}

function witnessedSize(witnesses: ReadonlyMap<string, number>): number {
  return Math.max(0, ...witnesses.values());
}

function printVerdict(verdict: Verdict): void {
  const { log, key, entries, heads, unprotected, head, trust, seen } = verdict;
  const size = head.size === 1 ? "1 entry is" : `${head.size} entries are`;
  const signed = heads === 1 ? "1 head" : `${heads} heads`;
  printLine(`Log ${shown(log)}: ${size} what was signed (${signed}, ${sayWitnesses(verdict)}).`);
  printLine(`The last head is of ${new Date(head.time).toISOString()}, signed by ${base64url(key)}.`);
  if (seen > 0) printLine(`It begins with the ${seen} entries that were seen earlier.`);
  if (unprotected > 0)
    printLine(`Entries ${head.size} to ${entries - 1} came after it: nothing signed protects them yet.`);
  if (trust === "unpinned") {
    printLine(
      "trust: unpinned. The key is the log's own; whoever wrote the log could have made it. Compare it, or give --key.",
    );
  }
}

function sayWitnesses({ witnesses, witnessTrust }: Verdict): string {
  if (witnesses.size === 0) return "no witness";
  const count = witnesses.size === 1 ? "1 witness agrees" : `${witnesses.size} witnesses agree`;
  const whose = witnessTrust === "pinned" ? "" : ", whose keys are the log's own word";
  return `${count} up to entry ${witnessedSize(witnesses) - 1}${whose}`;
}

const MAX_WITNESSES = 100_000;
const MAX_KEYS_BYTES = 8_388_608;

/** A file with lines of base64url, each 32 bytes. */
async function readKeys(path: string | undefined, limit: number): Promise<readonly Uint8Array[]> {
  if (path === undefined) return [];
  const text = await readTextFile(path, MAX_KEYS_BYTES);
  const lines = text.trim().split("\n");
  const keys = lines.flatMap((line) => fromBase64url(line.trim()) ?? []).filter(({ length }) => length === 32);
  if (keys.length === lines.length && keys.length <= limit) return keys;
  const expected = limit === 1 ? "one base64url line of 32 bytes" : "base64url lines of 32 bytes alone";
  throw new Problem("usage.invalid", { detail: `${path} does not hold ${expected}.` });
}
