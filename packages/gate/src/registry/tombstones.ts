import { join } from "node:path";
import { readPrivateFile, writeFileAtomic } from "@gatehouse/kit";
import { z } from "zod";

const KEEP_MS = 86_400_000;
const MAX_KEPT = 20_000;
const fileSchema = z.object({
  version: z.literal(1),
  revoked: z.array(z.object({ run_id: z.string(), token_hash: z.string(), at: z.number().int() })),
});

interface Tombstone {
  readonly run_id: string;
  readonly token_hash: string;
  readonly at: number;
}

/** Runs deleted in the last 24 hours: neither their id's token nor their id comes back unasked. */
export class Tombstones {
  readonly #path: string;
  readonly #now: () => number;
  #kept: readonly Tombstone[];

  private constructor(path: string, now: () => number, kept: readonly Tombstone[]) {
    this.#path = path;
    this.#now = now;
    this.#kept = kept;
  }

  /** Reads `revoked-runs.json`; a damaged one counts as empty, for what it refuses is refused anyway as unknown. */
  static async open(stateDir: string, now: () => number): Promise<Tombstones> {
    const path = join(stateDir, "revoked-runs.json");
    const bytes = await readPrivateFile(path);
    return new Tombstones(path, now, bytes === undefined ? [] : parse(bytes));
  }

  /** Whether a run with this token, or with this id under an unknown token, was deleted lately. */
  has(runId: string, tokenHash: string): boolean {
    const since = this.#now() - KEEP_MS;
    return this.#kept.some((one) => one.at > since && (one.token_hash === tokenHash || one.run_id === runId));
  }

  async add(runId: string, tokenHash: string): Promise<void> {
    const at = this.#now();
    const fresh = this.#kept.filter((one) => one.at > at - KEEP_MS).slice(-MAX_KEPT);
    this.#kept = [...fresh, { run_id: runId, token_hash: tokenHash, at }];
    await writeFileAtomic(this.#path, JSON.stringify({ version: 1, revoked: this.#kept }));
  }
}

function parse(bytes: Buffer): readonly Tombstone[] {
  try {
    return fileSchema.parse(JSON.parse(bytes.toString())).revoked;
  } catch {
    return [];
  }
}
