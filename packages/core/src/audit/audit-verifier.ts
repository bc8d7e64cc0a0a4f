import { base64url, fromBase64url } from "../encoding/base64url.ts";
import { constantTimeEqual } from "../encoding/text.ts";
import { Problem } from "../problem.ts";
import { readCanonical, readEntry } from "./audit-entry.ts";
import {
  auditKeyId,
  type CountersignedHead,
  headBytes,
  isHeadLine,
  readHead,
  type SignedHead,
  witnessBytes,
} from "./audit-head.ts";
import { type Hash, hashLeaf, MerkleFrontier } from "./merkle-tree.ts";

/** Which log it is, and the key that signs its heads. */
export interface LogIdentity {
  readonly log: string;
  /** Ed25519, 32 raw bytes. */
  readonly key: Uint8Array;
}

export interface VerifierDeps {
  readonly hash: Hash;
  /** Whether `signature` is the Ed25519 key's over `bytes`. */
  readonly verify: (key: Uint8Array, bytes: Uint8Array, signature: Uint8Array) => boolean;
}

/** Reads the first line of an export. Fails with `audit.tampered`. */
export function readExportHeader(line: string): LogIdentity {
  const { gatehouse_audit: version, log, key, ...rest } = readCanonical(line);
  const bytes = typeof key === "string" ? fromBase64url(key) : undefined;
  if (version !== 1 || typeof log !== "string" || bytes?.length !== 32 || Object.keys(rest).length > 0) {
    throw new Problem("audit.tampered", { detail: "The first line is not that of an audit export." });
  }
  return { log, key: bytes };
}

/**
 * Follows a log line by line, from its first entry on, in memory that does not grow. What fails leaves as
 * `audit.tampered`, naming the first entry that is wrong, or the entries among which it is.
 */
export class AuditVerifier {
  readonly #deps: VerifierDeps;
  readonly #identity: LogIdentity;
  readonly #keyId: string;
  readonly #tree: MerkleFrontier;
  readonly #first: number;
  #head: SignedHead | undefined;
  #heads = 0;
  readonly #witnesses = new Map<string, number>();

  /** `tree` is what stands before the first line that is pushed: of a log's later part, the frontier that it begins with. */
  constructor(deps: VerifierDeps, identity: LogIdentity, tree?: MerkleFrontier) {
    this.#deps = deps;
    this.#identity = identity;
    this.#keyId = auditKeyId(deps.hash, identity.key);
    this.#tree = tree ?? new MerkleFrontier(deps.hash);
    this.#first = this.#tree.size;
  }

  /** Entries so far. */
  get size(): number {
    return this.#tree.size;
  }

  /** The tree over them. */
  get tree(): MerkleFrontier {
    return this.#tree;
  }

  get heads(): number {
    return this.#heads;
  }

  /** Keys that countersigned heads, base64url, each with the entries of the last head that it did. */
  get witnesses(): ReadonlyMap<string, number> {
    return this.#witnesses;
  }

  /** The last head. */
  get head(): SignedHead | undefined {
    return this.#head;
  }

  /** Entries behind the last head: nothing signed protects them. */
  get unprotected(): number {
    return this.size - this.#covered;
  }

  get #covered(): number {
    return this.#head?.size ?? this.#first;
  }

  /** Takes one line. Returns the leaf hash of an entry, `undefined` for a head. */
  push(line: string): Uint8Array | undefined {
    if (isHeadLine(line)) {
      this.#pushHead(line);
      return undefined;
    }
    const { size } = this;
    const { seq } = this.#within(`Entry ${size} was changed`, () => readEntry(line));
    if (seq !== size) throw tampered(`Entry ${size} is missing: entry ${seq} stands in its place.`);
    const leaf = hashLeaf(this.#deps.hash, line);
    this.#tree.append(leaf);
    return leaf;
  }

  #pushHead(line: string): void {
    const { size } = this;
    const head = this.#within(`The head behind entry ${size - 1} was changed`, () => readHead(line));
    if (head.size !== size) {
      const what = head.size > size ? `entries ${size} to ${head.size - 1} are missing` : "it stands in a wrong place";
      throw tampered(`A head covers ${head.size} entries where ${size} stand: ${what}.`);
    }
    if (size <= this.#covered) throw tampered(`The head of ${size} entries stands twice.`);
    if (head.keyId !== this.#keyId || !this.#isSigned(head)) {
      throw tampered(`The head of ${size} entries is not signed by the log's key.`);
    }
    if (!constantTimeEqual(head.root, this.#tree.root())) {
      throw tampered(`An entry was changed: the first one is among ${this.#covered} to ${size - 1}.`);
    }
    this.#hearWitnesses(head);
    this.#head = head;
    this.#heads += 1;
  }

  /** A countersignature may be left out, not made up: one that does not hold was put there by somebody. */
  #hearWitnesses(head: CountersignedHead): void {
    const { log } = this.#identity;
    for (const { node, key, signature } of head.witnesses) {
      if (!this.#deps.verify(key, witnessBytes(node, log, head), signature)) {
        throw tampered(`The head of ${head.size} entries is not countersigned by ${node}.`);
      }
      this.#witnesses.set(base64url(key), head.size);
    }
  }

  #isSigned(head: SignedHead): boolean {
    const { key, log } = this.#identity;
    return this.#deps.verify(key, headBytes(log, head), head.signature);
  }

  #within<T>(what: string, read: () => T): T {
    try {
      return read();
    } catch (failure) {
      if (failure instanceof Problem && failure.code === "audit.tampered")
        throw tampered(`${what}: ${failure.detail}.`);
      throw failure;
    }
  }
}

function tampered(detail: string): Problem {
  return new Problem("audit.tampered", { detail });
}
