import { randomBytes } from "node:crypto";
import { open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import {
  type AuditEntry,
  hashLeaf,
  inclusionRanges,
  isHeadLine,
  Problem,
  ProofBuilder,
  readEntry,
} from "@gatehouse/core";
import { systemReason } from "../files/error-code.ts";
import { syncDirectory } from "../files/write-file-atomic.ts";
import { sha256 } from "../keys/sha256.ts";
import { type VerifiedLog, verifyLog } from "./follow-log.ts";
import type { LogSource } from "./log-source.ts";
import { encodeExportHeader } from "./segment-header.ts";

const FLUSH_CHARS = 1_048_576;

/**
 * Checks a log and writes it as one file, up to its last head, 0600; the file is whole or not there. Returns what was
 * exported; entries behind the head are left out. Fails as `verifyLog` does, and with `state.write_failed`.
 */
export async function exportLog(source: LogSource, path: string): Promise<VerifiedLog> {
  const verified = await verifyLog(source);
  const temporary = `${path}.${randomBytes(6).toString("hex")}.tmp`;
  try {
    const file = await open(temporary, "wx", 0o600);
    try {
      let text = `${encodeExportHeader(verified)}\n`;
      for await (const lines of linesUpTo(source, verified)) {
        text += lines.map((line) => `${line}\n`).join("");
        if (text.length < FLUSH_CHARS) continue;
        await file.appendFile(text);
        text = "";
      }
      await file.appendFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
    await syncDirectory(dirname(path));
  } catch (cause) {
    await rm(temporary, { force: true }).catch(() => undefined);
    if (cause instanceof Problem) throw cause;
    throw new Problem("state.write_failed", { detail: `${path}: ${systemReason(cause)}.`, cause });
  }
  return verified;
}

/** Lines from the first entry to the last head that was checked. */
async function* linesUpTo(source: LogSource, { heads }: VerifiedLog): AsyncGenerator<readonly string[]> {
  let seen = 0;
  for await (const part of source.read()) {
    if (!("lines" in part)) continue;
    const end = part.lines.findIndex((line) => {
      seen += isHeadLine(line) ? 1 : 0;
      return seen === heads;
    });
    yield end < 0 ? part.lines : part.lines.slice(0, end + 1);
    if (end >= 0) return;
  }
}

/** Shows that one entry is in the log that a head covers. */
export interface EntryProof extends VerifiedLog {
  readonly entry: AuditEntry;
  readonly path: readonly Uint8Array[];
}

/**
 * Proves entry `seq` against the log's last head. Fails as `verifyLog` does, with `audit.not_found` where it is not
 * covered.
 */
export async function proveEntry(source: LogSource, seq: number): Promise<EntryProof> {
  const verified = await verifyLog(source);
  const { size } = verified.head;
  if (seq >= size) {
    throw new Problem("audit.not_found", {
      detail: `Entry ${seq} is not among the ${size} that the last head covers.`,
    });
  }
  const builder = new ProofBuilder(sha256, inclusionRanges(seq, size));
  let index = 0;
  let entry: AuditEntry | undefined;
  for await (const lines of linesUpTo(source, verified)) {
    for (const line of lines.filter((one) => !isHeadLine(one))) {
      if (index === seq) entry = readEntry(line);
      builder.add(index, hashLeaf(sha256, line));
      index += 1;
    }
  }
  const path = builder.proof();
  if (entry === undefined || path === undefined)
    throw new Problem("audit.tampered", { detail: "It changed meanwhile." });
  return { ...verified, entry, path };
}
