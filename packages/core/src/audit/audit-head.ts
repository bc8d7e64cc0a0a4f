import { base64url, fromBase64url } from "../encoding/base64url.ts";
import { encodeTuple } from "../encoding/signed-tuple.ts";
import { Problem } from "../problem.ts";
import { isAuditTime, readCanonical } from "./audit-entry.ts";
import { canonicalJson, type JsonValue } from "./canonical-json.ts";
import type { Hash } from "./merkle-tree.ts";

/** What a head says of a log. */
export interface AuditHead {
  /** Entries that it covers. */
  readonly size: number;
  /** Root of the tree over them. */
  readonly root: Uint8Array;
  /** Unix milliseconds at which it was signed. */
  readonly time: number;
}

/** A head as it stands in a log. */
export interface SignedHead extends AuditHead {
  readonly keyId: string;
  readonly signature: Uint8Array;
}

/** A node that saw a head, found it to continue the one before, and signed that it did. */
export interface Witness {
  /** Id of the node. */
  readonly node: string;
  /** Its identity key, Ed25519, 32 bytes. */
  readonly key: Uint8Array;
  readonly signature: Uint8Array;
}

/** A head with who countersigned it. */
export interface CountersignedHead extends SignedHead {
  /** By node, each once. */
  readonly witnesses: readonly Witness[];
}

const MEMBERS = "key_id,root,signature,size,time,witnesses";

/** The bytes that a head's signature is over. */
export function headBytes(log: string, { size, root, time }: AuditHead): Uint8Array {
  return encodeTuple("gatehouse/audit-head/v1", log, size, root, time);
}

/** The bytes that a witness signs. */
export function witnessBytes(node: string, log: string, { size, root, time }: AuditHead): Uint8Array {
  return encodeTuple("gatehouse/audit-witness/v1", node, log, size, root, time);
}

/** The id of an audit key: SHA-256 of its 32 raw bytes. */
export function auditKeyId(hash: Hash, key: Uint8Array): string {
  return base64url(hash(key));
}

/** The line of a signed head; `witnesses` are those of it, by node. */
export function encodeHead(head: SignedHead, witnesses: readonly Witness[] = []): string {
  return canonicalJson(headAsJson(head, witnesses));
}

/** A signed head as it stands in JSON. */
export function headAsJson(
  { size, root, time, keyId, signature }: SignedHead,
  witnesses: readonly Witness[] = [],
): { readonly [name: string]: JsonValue } {
  return {
    key_id: keyId,
    root: base64url(root),
    signature: base64url(signature),
    size,
    time,
    witnesses: witnesses.map((one) => ({
      key: base64url(one.key),
      node: one.node,
      signature: base64url(one.signature),
    })),
  };
}

/** Whether a line claims to be a head; what it says is for `readHead` to judge. */
export function isHeadLine(line: string): boolean {
  return line.startsWith('{"key_id":');
}

/** Reads the line of a head, its signatures unchecked. Fails with `audit.tampered`. */
export function readHead(line: string): CountersignedHead {
  const value = readCanonical(line);
  const { key_id: keyId, size, time, witnesses } = value;
  const root = bytesOf(value.root);
  const signature = bytesOf(value.signature);
  if (Object.keys(value).join() !== MEMBERS || typeof keyId !== "string" || !isCount(size) || !isAuditTime(time)) {
    throw new Problem("audit.tampered", { detail: "it has not the members of a head" });
  }
  if (root?.length !== 32 || signature?.length !== 64) {
    throw new Problem("audit.tampered", { detail: "its root or signature is none" });
  }
  if (!Array.isArray(witnesses)) throw new Problem("audit.tampered", { detail: "its witnesses are no list" });
  const read = witnesses.map(readWitness);
  if (read.some(({ node }, at) => node <= (read[at - 1]?.node ?? ""))) {
    throw new Problem("audit.tampered", { detail: "its witnesses are not in order, each once" });
  }
  return { keyId, size, time, root, signature, witnesses: read };
}

function readWitness(value: JsonValue): Witness {
  const { key, node, signature, ...rest } = isMembers(value) ? value : {};
  const [keyBytes, signatureBytes] = [bytesOf(key), bytesOf(signature)];
  const isWhole = Object.keys(rest).length === 0 && typeof node === "string" && node !== "";
  if (!isWhole || keyBytes?.length !== 32 || signatureBytes?.length !== 64) {
    throw new Problem("audit.tampered", { detail: "a witness has not the members of one" });
  }
  return { node, key: keyBytes, signature: signatureBytes };
}

function isMembers(value: JsonValue): value is { readonly [name: string]: JsonValue } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function bytesOf(value: JsonValue | undefined): Uint8Array | undefined {
  return typeof value === "string" ? fromBase64url(value) : undefined;
}

function isCount(value: JsonValue | undefined): value is number {
  return typeof value === "number" && value >= 0;
}
