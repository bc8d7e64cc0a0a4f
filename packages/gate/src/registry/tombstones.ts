import { join } from "node:path";
import { readPrivateFile, writeFileAtomic } from "@gatehouse/kit";
import * as z from "zod";
import { CoalescedWriter } from "./coalesced-writer.ts";
import { keepCopy } from "./set-aside.ts";

const KEEP_MS = 86_400_000;
const MAX_KEPT = 100_000;
const tombstoneSchema = z.object({ run_id: z.string(), token_hash: z.string(), at: z.number().int() });
const fileSchema = z.object({
  version: z.literal(1),
  revoked: z.array(z.unknown()),
  /** When some of what stood here was lost. */
  lost_at: z.number().int().optional(),
});

type Tombstone = Readonly<z.infer<typeof tombstoneSchema>>;

interface Stored {
  readonly kept: readonly Tombstone[];
  /** Not all that stood there could be read. */
  readonly isDamaged: boolean;
  readonly lostAt: number | undefined;
}

/**
 * Runs deleted in the last 24 hours: their tokens do not come back, nor do unknown tokens for their ids. When the memory
 * of them was damaged, every unknown token may be one of theirs, for as long as it would have been remembered.
 */
export class Tombstones {
  /** What a person must know of the file, when it was damaged. */
  readonly fault: string | undefined;
  readonly #path: string;
  readonly #now: () => number;
  readonly #lostAt: number | undefined;
  /** Oldest first. */
  readonly #byToken = new Map<string, Tombstone>();
  readonly #lastByRun = new Map<string, Tombstone>();
  readonly #writer = new CoalescedWriter(() => this.#write());

  private constructor(path: string, now: () => number, { kept, lostAt, fault }: Omit<Stored, "isDamaged"> & Fault) {
    this.#path = path;
    this.#now = now;
    this.fault = fault;
    this.#lostAt = lostAt;
    for (const one of kept) this.#keep(one);
  }

  /**
   * Reads `revoked-runs.json`. A damaged one is kept under another name and named in `fault`; what can be read of it
   * counts, and the file says from then on that some of it was lost. Fails with `state.write_failed`.
   */
  static async open(stateDir: string, now: () => number): Promise<Tombstones> {
    const path = join(stateDir, "revoked-runs.json");
    const bytes = await readPrivateFile(path);
    const { isDamaged, ...stored } = bytes === undefined ? NOTHING : parse(bytes);
    if (!isDamaged) return new Tombstones(path, now, { ...stored, fault: undefined });
    const fault = await keepCopy(path, now());
    const tombstones = new Tombstones(path, now, { ...stored, lostAt: now(), fault });
    await tombstones.#writer.write();
    return tombstones;
  }

  /** Whether the run of this token was deleted lately. */
  hasToken(tokenHash: string): boolean {
    return this.#isFresh(this.#byToken.get(tokenHash)?.at);
  }

  /** Whether a token that nobody has now may be one of a run, or for a run, that was deleted lately. */
  mayHave(tokenHash: string, runId: string): boolean {
    return this.hasToken(tokenHash) || this.#isFresh(this.#lastByRun.get(runId)?.at) || this.#isFresh(this.#lostAt);
  }

  /** Resolves when the tombstone is durable. Fails with `state.write_failed`; it counts in memory all the same. */
  async add(runId: string, tokenHash: string): Promise<void> {
    this.#keep({ run_id: runId, token_hash: tokenHash, at: this.#now() });
    for (const one of this.#byToken.values()) {
      if (this.#isFresh(one.at) && this.#byToken.size <= MAX_KEPT) break;
      this.#forget(one);
    }
    await this.#writer.write();
  }

  #isFresh(at: number | undefined): boolean {
    return at !== undefined && at > this.#now() - KEEP_MS;
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
    const lost = this.#isFresh(this.#lostAt) ? { lost_at: this.#lostAt } : {};
    return writeFileAtomic(this.#path, JSON.stringify({ version: 1, revoked: [...this.#byToken.values()], ...lost }));
  }
}

interface Fault {
  readonly fault: string | undefined;
}

const NOTHING: Stored = { kept: [], isDamaged: false, lostAt: undefined };

function parse(bytes: Buffer): Stored {
  const file = fileSchema.safeParse(parseJson(bytes)).data;
  if (file === undefined) return { ...NOTHING, isDamaged: true };
  const kept = file.revoked.flatMap((one) => tombstoneSchema.safeParse(one).data ?? []);
  return { kept, isDamaged: kept.length < file.revoked.length, lostAt: file.lost_at };
}

/** Not even JSON is the same fault as JSON of another form. */
function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString());
  } catch {
    return undefined;
  }
}
