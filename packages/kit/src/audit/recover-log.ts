import { AuditVerifier, constantTimeEqual, Problem, readHead, type SignedHead } from "@gatehouse/core";
import { sha256 } from "../keys/sha256.ts";
import { verifySignature } from "../keys/signing-key.ts";
import { type Line, readLines } from "./read-lines.ts";
import { readSegmentHeader } from "./segment-header.ts";
import type { SegmentStore } from "./segment-store.ts";

export const VERIFIER_DEPS = { hash: sha256, verify: verifySignature };

/** Where a log goes on. */
export interface Recovered {
  readonly log: string;
  /** First entry of the segment that is written to. */
  readonly first: number;
  /** Bytes of it that stand. */
  readonly offset: number;
  /** The tree over all entries. */
  readonly verifier: AuditVerifier;
  /** What a crash left half written and where it was put; nothing of it was ever answered for. */
  readonly torn: string | undefined;
}

/**
 * Finds the end of a log: reads its last segment, and puts a torn tail aside. `undefined`: there is no log yet. Fails
 * with `audit.tampered` when entries that the last head covers are not as they were signed, or are another key's.
 */
export async function recoverLog(store: SegmentStore, key: Uint8Array): Promise<Recovered | undefined> {
  const text = await store.readHead();
  const head = text === undefined ? undefined : readHead(text);
  const firsts = await store.list();
  let torn: string | undefined;
  for (const first of [...firsts].reverse()) {
    const follower = new SegmentFollower({ first, key, head });
    await follower.follow(store);
    const { offset, log, verifier } = follower;
    if ((verifier?.size ?? first) < (head?.size ?? 0)) throw lost(verifier?.size ?? first, head);
    if (follower.hasMore) torn = await store.setAside(first, offset);
    // A segment that was just being made holds nothing yet: the one before it goes on.
    if (verifier !== undefined) return { log, first, offset, verifier, torn };
  }
  if (head !== undefined) throw lost(0, head);
  return undefined;
}

interface Expected {
  readonly first: number;
  readonly key: Uint8Array;
  readonly head: SignedHead | undefined;
}

/** One segment, followed as far as it is whole. */
class SegmentFollower {
  readonly #expected: Expected;
  #bytes = 0;
  offset = 0;
  log = "";
  verifier: AuditVerifier | undefined;

  constructor(expected: Expected) {
    this.#expected = expected;
  }

  /** Whether something stands behind what is whole. */
  get hasMore(): boolean {
    return this.#bytes > this.offset || this.verifier === undefined;
  }

  async follow(store: SegmentStore): Promise<void> {
    try {
      for await (const lines of readLines(this.#counted(store.read(this.#expected.first)))) {
        for (const line of lines) this.#take(line);
      }
    } catch (failure) {
      // Behind what was signed this is what a crash leaves; the caller, who knows what was signed, tells the two apart.
      if (!(failure instanceof Problem) || failure.code !== "audit.tampered") throw failure;
    }
  }

  #take({ text, end }: Line): void {
    if (this.verifier === undefined) this.#begin(text);
    else this.verifier.push(text);
    this.offset = end;
    this.#compare();
  }

  #begin(line: string): void {
    const { first, key } = this.#expected;
    const { log, tree, ...header } = readSegmentHeader(line);
    if (tree.size !== first) throw new Problem("audit.tampered", { detail: "A segment has another's name." });
    if (!constantTimeEqual(header.key, key)) {
      throw new Problem("state.corrupt", { detail: "identity.key is not the key that signed audit/." });
    }
    this.log = log;
    this.verifier = new AuditVerifier(VERIFIER_DEPS, { log, key }, tree);
  }

  /** Where the last head was signed, the tree must be what it was then. */
  #compare(): void {
    const { head } = this.#expected;
    if (head === undefined || this.verifier?.size !== head.size) return;
    if (constantTimeEqual(this.verifier.tree.root(), head.root)) return;
    throw new Problem("state.corrupt", { detail: `audit/: entries behind the head of ${head.size} were changed.` });
  }

  async *#counted(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const chunk of chunks) {
      this.#bytes += chunk.length;
      yield chunk;
    }
  }
}

function lost(size: number, head: SignedHead | undefined): Problem {
  const detail = `Entries ${size} to ${(head?.size ?? 0) - 1} were signed and are not there as they were.`;
  return new Problem("audit.tampered", { detail });
}
