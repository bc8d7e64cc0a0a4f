import {
  base64url,
  canonicalJson,
  hashLeaf,
  headAsJson,
  inclusionRanges,
  Problem,
  ProofBuilder,
  readEntry,
} from "@gatehouse/core";
import { sha256 } from "@gatehouse/kit";
import { type CoveredLog, coveredEntries, type InOwnOrg } from "./read-log.ts";

/**
 * The proof that entry `seq` is in the log that the newest head covers, as JSON `{entry, size, index, path, head}`.
 * Fails with `audit.not_found` where no head covers it.
 */
export async function proveStoredEntry(inOrg: InOwnOrg, covered: CoveredLog, seq: number): Promise<string> {
  const { head } = covered;
  if (seq >= head.size) {
    throw new Problem("audit.not_found", {
      detail: `Entry ${seq} is not among the ${head.size} that the last head covers.`,
    });
  }
  const builder = new ProofBuilder(sha256, inclusionRanges(seq, head.size));
  let index = 0;
  let proven: string | undefined;
  for await (const page of coveredEntries(inOrg, covered)) {
    for (const text of page) {
      if (index === seq) proven = text;
      builder.add(index, hashLeaf(sha256, text));
      index += 1;
    }
  }
  const path = builder.proof();
  if (proven === undefined || path === undefined)
    throw new Problem("audit.tampered", { detail: "Entries are missing." });
  const entry = readEntry(proven);
  return canonicalJson({
    entry: { ...entry },
    size: head.size,
    index: seq,
    path: path.map(base64url),
    head: headAsJson(head),
  });
}
