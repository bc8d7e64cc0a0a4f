import { encodeTuple } from "../encoding/signed-tuple.ts";
import { base64url, fromBase64url } from "../encoding/text.ts";
import { type AuditEntry, type AuditHead, type AuditHeader, asEntry, asHead, asHeader, entryBytes } from "./entry.ts";
import { type Hash, leafHash, MerkleFrontier, rootOfInclusion } from "./merkle.ts";

/** What verifying needs of the platform. */
export interface AuditCrypto {
  readonly hash: Hash;
  /** Ed25519. False for anything malformed. */
  verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean;
}

/** What an export turned out to be. */
export type AuditVerdict =
  | {
      readonly ok: true;
      readonly log: string;
      readonly entries: number;
      readonly heads: number;
      /** Whether the key came from the verifier or from the export itself. */
      readonly trust: "pinned" | "unpinned";
      readonly witnesses: number;
    }
  | { readonly ok: false; readonly line: number; readonly why: string };

/** The bytes that a head signs. */
export function headBytes(log: string, head: Pick<AuditHead, "size" | "root" | "time">): Uint8Array {
  const root = fromBase64url(head.root) ?? new Uint8Array();
  return encodeTuple("gatehouse/audit-head/v1", log, head.size, root, head.time);
}

/** Names a key: base64url of the first 8 bytes of its SHA-256. */
export function auditKeyId(hash: Hash, publicKey: Uint8Array): string {
  return base64url(hash(publicKey).subarray(0, 8));
}

/**
 * Checks an export line by line, offline: order, gaps, hashes, heads and that it ends with one. Each head is computed
 * from the entries above it, so heads are consistent with each other when all hold.
 */
export class AuditVerifier {
  readonly #crypto: AuditCrypto;
  readonly #pinnedKey: Uint8Array | undefined;
  readonly #tree: MerkleFrontier;
  #line = 0;
  #header: AuditHeader | undefined;
  #key: Uint8Array | undefined;
  #heads = 0;
  #lastHead: AuditHead | undefined;
  #failure: AuditVerdict | undefined;

  constructor(crypto: AuditCrypto, pinnedKey?: Uint8Array) {
    this.#crypto = crypto;
    this.#pinnedKey = pinnedKey;
    this.#tree = new MerkleFrontier(crypto.hash);
  }

  /** Takes the next line without its line feed. */
  push(line: string): void {
    if (this.#failure !== undefined) return;
    this.#line += 1;
    const why = this.#check(line);
    if (why !== undefined) this.#failure = { ok: false, line: this.#line, why };
  }

  /** The verdict over all lines that were pushed. */
  end(): AuditVerdict {
    if (this.#failure !== undefined) return this.#failure;
    const fail = (why: string): AuditVerdict => ({ ok: false, line: this.#line, why });
    if (this.#header === undefined) return fail("there is no header");
    if (this.#lastHead === undefined) return fail("there is no head");
    if (this.#lastHead.size !== this.#tree.size) return fail("entries after the last head are not protected");
    return {
      ok: true,
      log: this.#header.log,
      entries: this.#tree.size,
      heads: this.#heads,
      trust: this.#pinnedKey === undefined ? "unpinned" : "pinned",
      witnesses: this.#lastHead.witnesses.length,
    };
  }

  #check(line: string): string | undefined {
    const value = parseLine(line);
    if (this.#header === undefined) return this.#takeHeader(asHeader(value));
    const entry = asEntry(value);
    if (entry !== undefined) return this.#takeEntry(entry, line);
    const head = asHead(value);
    return head === undefined ? "neither an entry nor a head" : this.#takeHead(head);
  }

  #takeHeader(header: AuditHeader | undefined): string | undefined {
    const own = header === undefined ? undefined : fromBase64url(header.key);
    if (header === undefined || own?.length !== 32) return "the first line is no header";
    if (this.#pinnedKey !== undefined && base64url(this.#pinnedKey) !== header.key) return "another key signs this log";
    this.#header = header;
    this.#key = this.#pinnedKey ?? own;
    return undefined;
  }

  #takeEntry(entry: AuditEntry, line: string): string | undefined {
    if (entry.seq !== this.#tree.size) return `expected entry ${this.#tree.size}, found ${entry.seq}`;
    const bytes = canonicalBytes(entry);
    if (bytes === undefined || new TextDecoder().decode(bytes) !== line) return "the entry is not in canonical form";
    this.#tree.append(leafHash(this.#crypto.hash, bytes));
    return undefined;
  }

  #takeHead(head: AuditHead): string | undefined {
    if (head.size !== this.#tree.size) return `a head over ${head.size} entries stands after ${this.#tree.size}`;
    if (this.#lastHead !== undefined && head.time < this.#lastHead.time) return "a head is older than the one before";
    if (base64url(this.#tree.root()) !== head.root) return "the entries do not lead to the head's root";
    const why = checkSignature(this.#crypto, { key: this.#key, log: this.#header?.log ?? "", head });
    if (why !== undefined) return why;
    this.#heads += 1;
    this.#lastHead = head;
    return undefined;
  }
}

/** That one entry stands in a log whose head is signed. `proof` is what `audit prove` prints. */
export interface AuditProof {
  readonly log: string;
  readonly entry: AuditEntry;
  readonly size: number;
  readonly index: number;
  readonly path: readonly string[];
  readonly head: AuditHead;
}

/** Checks an inclusion proof against the log's key. `undefined` when it holds, else why not. */
export function verifyProof(crypto: AuditCrypto, proof: AuditProof, key: Uint8Array): string | undefined {
  const { entry, index, size, head } = proof;
  const path = proof.path.map((node) => fromBase64url(node) ?? new Uint8Array());
  const bytes = canonicalBytes(entry);
  if (bytes === undefined || entry.seq !== index || head.size !== size) return "the proof is malformed";
  const root = rootOfInclusion(crypto.hash, { leaf: leafHash(crypto.hash, bytes), index, size, path });
  if (root === undefined || base64url(root) !== head.root) return "the entry does not lead to the head's root";
  return checkSignature(crypto, { key, log: proof.log, head });
}

interface SignedHead {
  readonly key: Uint8Array | undefined;
  readonly log: string;
  readonly head: AuditHead;
}

function checkSignature(crypto: AuditCrypto, { key, log, head }: SignedHead): string | undefined {
  const signature = fromBase64url(head.signature);
  if (key === undefined || signature === undefined) return "the head's signature is malformed";
  if (head.key_id !== auditKeyId(crypto.hash, key)) return "the head names another key";
  return crypto.verify(key, headBytes(log, head), signature) ? undefined : "the head's signature does not verify";
}

function canonicalBytes(entry: AuditEntry): Uint8Array | undefined {
  try {
    return entryBytes(entry);
  } catch {
    return undefined;
  }
}

function parseLine(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
