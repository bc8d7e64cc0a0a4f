import { mkdir, readFile } from "node:fs/promises";
import { uptime } from "node:os";
import { join } from "node:path";
import { Problem } from "@gatehouse/core";
import {
  type BundleTrust,
  isFreshnessOf,
  readPrivateFile,
  type SignedBundle,
  type SignedFreshness,
  writeFileAtomic,
} from "@gatehouse/kit";
import { z } from "zod";

const fileSchema = z.strictObject({
  epoch: z.number().int(),
  server_time: z.number().int(),
  boot_id: z.string(),
  /** Seconds since that boot, and Unix milliseconds, when it was heard. */
  uptime: z.number(),
  wall: z.number().int(),
});

/** The bundle that is served. */
export type ServedState = Pick<SignedBundle, "epoch" | "generation">;

type Heard = Readonly<z.infer<typeof fileSchema>>;

/** The times that staleness is counted by. */
export interface BootClock {
  /** Unix milliseconds. */
  readonly now: () => number;
  /** Seconds since boot, suspend included. */
  readonly uptime: () => number;
  readonly bootId: string;
}

export async function systemBootClock(): Promise<BootClock> {
  const bootId = (await readFile("/proc/sys/kernel/random/boot_id", "utf8")).trim();
  return { now: () => Date.now(), uptime, bootId };
}

/**
 * Until when the node may rely on what it was told last: a bound after the newest signed word of the server, counted
 * since boot; after a reboot by the wall clock, and one that went backwards counts as stale.
 */
export class FreshnessKeeper {
  readonly #path: string;
  readonly #boundSeconds: number;
  readonly #clock: BootClock;
  #heard: Heard | undefined;

  private constructor(stateDir: string, boundMs: number, clock: BootClock) {
    this.#path = join(stateDir, "fleet", "freshness.json");
    this.#boundSeconds = boundMs / 1_000;
    this.#clock = clock;
  }

  /** What cannot be read was never heard. */
  static async open(stateDir: string, boundMs: number, clock: BootClock): Promise<FreshnessKeeper> {
    const keeper = new FreshnessKeeper(stateDir, boundMs, clock);
    await mkdir(join(stateDir, "fleet"), { recursive: true, mode: 0o700 });
    const stored = await readPrivateFile(keeper.#path);
    const parsed = stored === undefined ? undefined : fileSchema.safeParse(parseJson(stored));
    keeper.#heard = parsed?.data;
    return keeper;
  }

  /** Seconds since boot; 0 when nothing was heard, or too long ago. */
  get untilSeconds(): number {
    if (this.#heard === undefined) return 0;
    const { boot_id, uptime: heardAt, wall } = this.#heard;
    if (boot_id === this.#clock.bootId) return heardAt + this.#boundSeconds;
    const ageSeconds = (this.#clock.now() - wall) / 1_000;
    return ageSeconds < 0 ? 0 : this.#clock.uptime() + this.#boundSeconds - ageSeconds;
  }

  /** Unix milliseconds, as the server signed last; 0 when nothing was heard. */
  get newestServerTime(): number {
    return this.#heard?.server_time ?? 0;
  }

  /**
   * Takes the server's word that a generation was the newest. Fails with `bundle.refused` for one that is not signed, is
   * not newer than the last, or is of a generation that is not served here yet.
   */
  async hear(freshness: SignedFreshness, trust: BundleTrust, served: ServedState | undefined): Promise<void> {
    const { epoch, serverTime } = freshness;
    if (!isFreshnessOf(trust, freshness)) throw refused("The freshness is not signed by the bundle key.");
    if (served === undefined || isAhead(freshness, served)) throw refused("A newer bundle is there.");
    const last = this.#heard;
    const isNewer = last === undefined || epoch > last.epoch || (epoch === last.epoch && serverTime > last.server_time);
    if (!isNewer) throw refused("The freshness was heard before.");
    const { bootId, now, uptime: sinceBoot } = this.#clock;
    this.#heard = { epoch, server_time: serverTime, boot_id: bootId, uptime: sinceBoot(), wall: now() };
    await writeFileAtomic(this.#path, JSON.stringify(this.#heard));
  }
}

/** Generations of a new epoch are counted anew: any of them is newer. */
function isAhead(a: ServedState, b: ServedState): boolean {
  return a.epoch === b.epoch ? a.generation > b.generation : a.epoch > b.epoch;
}

function parseJson(stored: Buffer): unknown {
  try {
    return JSON.parse(stored.toString());
  } catch {
    // The same as JSON of another kind: nothing was heard.
    return undefined;
  }
}

function refused(detail: string): Problem {
  return new Problem("bundle.refused", { detail });
}
