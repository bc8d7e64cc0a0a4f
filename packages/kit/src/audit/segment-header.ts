import {
  base64url,
  canonicalJson,
  fromBase64url,
  type LogIdentity,
  MerkleFrontier,
  Problem,
  readCanonical,
} from "@gatehouse/core";
import { sha256 } from "../keys/sha256.ts";

/** The first line of a segment: which log it is of, and the tree over all entries before it. */
export interface SegmentHeader extends LogIdentity {
  readonly tree: MerkleFrontier;
}

export function encodeSegmentHeader({ log, key, tree }: SegmentHeader): string {
  const peaks = tree.peaks.map(base64url);
  return canonicalJson({ first: tree.size, gatehouse_audit_segment: 1, key: base64url(key), log, peaks });
}

/** Fails with `audit.tampered` when the line is no segment's first. */
export function readSegmentHeader(line: string): SegmentHeader {
  const { first, gatehouse_audit_segment: version, key, log, peaks } = readCanonical(line);
  const bytes = typeof key === "string" ? fromBase64url(key) : undefined;
  if (version !== 1 || typeof log !== "string" || bytes?.length !== 32 || typeof first !== "number" || first < 0) {
    throw new Problem("audit.tampered", { detail: "A segment does not begin as one." });
  }
  const hashes = Array.isArray(peaks) ? peaks.map((peak) => fromBase64url(String(peak)) ?? new Uint8Array()) : [];
  try {
    return { log, key: bytes, tree: new MerkleFrontier(sha256, { size: first, peaks: hashes }) };
  } catch (cause) {
    throw new Problem("audit.tampered", { detail: "A segment's first line has another tree than it says.", cause });
  }
}

/** The first line of an export. */
export function encodeExportHeader({ log, key }: LogIdentity): string {
  return canonicalJson({ gatehouse_audit: 1, key: base64url(key), log });
}
