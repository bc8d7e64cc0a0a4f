import { join } from "node:path";
import { readPrivateFile, writeFileAtomic } from "@gatehouse/kit";
import * as z from "zod";
import { CoalescedWriter } from "./coalesced-writer.ts";
import { setAside } from "./set-aside.ts";

const KEEP_MS = 86_400_000;
const MAX_KEPT = 100_000;
const tombstoneSchema = z.object({ run_id: z.string(), token_hash: z.string(), at: z.number().int() });
const fileSchema = z.object({ version: z.literal(1), revoked: z.array(tombstoneSchema) });

type Tombstone = Readonly<z.infer<typeof tombstoneSchema>>;

/** Runs deleted in the last 24 hours: their tokens do not come back, nor do unknown tokens for their ids. */
export class Tombstones {
  /** What a person must know of the file, when it was damaged. */
  readonly fault: string | undefined;
  readonly #path: string;
  readonly #now: () => number;
  /** Oldest first. */
  readonly #byToken = new Map<string, Tombstone>();
  readonly #lastByRun = new Map<string, Tombstone>();
  readonly #writer = new CoalescedWriter(() => this.#write());

  private constructor(
    path: string,
    now: () => number,
    stored: { readonly kept: readonly Tombstone[]; readonly fault?: string },
  ) {
    this.#path = path;
    this.#now = now;
    this.fault = stored.fault;
    for (const one of stored.kept) this.#keep(one);
  }

  /** Reads `revoked-runs.json`; a damaged one is set aside and named in `fault`. */
  static async open(stateDir: string, now: () => number): Promise<Tombstones> {
    const path = join(stateDir, "revoked-runs.json");
    const bytes = await readPrivateFile(path);
    const kept = bytes === undefined ? [] : parse(bytes);
    if (kept !== undefined) return new Tombstones(path, now, { kept });
    return new Tombstones(path, now, { kept: [], fault: await setAside(path, now()) });
  }

  /** Whether the run of this token was deleted lately. */
  hasToken(tokenHash: string): boolean {
    return this.#isFresh(this.#byToken.get(tokenHash));
  }

  /** Whether a run with this id was deleted lately. */
  hasRun(runId: string): boolean {
    return this.#isFresh(this.#lastByRun.get(runId));
  }

  /** Resolves when the tombstone is durable. Fails with `state.write_failed`; it counts in memory all the same. */
  async add(runId: string, tokenHash: string): Promise<void> {
    this.#keep({ run_id: runId, token_hash: tokenHash, at: this.#now() });
    for (const one of this.#byToken.values()) {
      if (this.#isFresh(one) && this.#byToken.size <= MAX_KEPT) break;
      this.#forget(one);
    }
    await this.#writer.write();
  }

  #isFresh(one: Tombstone | undefined): boolean {
    return one !== undefined && one.at > this.#now() - KEEP_MS;
  }

  #keep(one: Tombstone): void {
    this.#byToken.delete(one.token_hash);
    this.#byToken.set(one.token_hash, one);
    this.#lastByRun.set(one.run_id, one);
  }

  #forget(one: Tombstone): void {
    this.#byToken.delete(one.token_hash);
    if (this.#lastByRun.get(one.run_id) === one) this.#lastByRun.delete(one.run_id);
  }

  #write(): Promise<void> {
    return writeFileAtomic(this.#path, JSON.stringify({ version: 1, revoked: [...this.#byToken.values()] }));
  }
}

function parse(bytes: Buffer): readonly Tombstone[] | undefined {
  try {
    return fileSchema.parse(JSON.parse(bytes.toString())).revoked;
  } catch {
    // Not even JSON is the same fault as JSON of another form: the caller sets the file aside.
    return undefined;
  }
}
