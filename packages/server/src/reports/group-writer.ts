import { SlowDownProblem } from "../limits/slow-down-problem.ts";
import { MAX_GROUP_BYTES, MAX_WAITING_BYTES, MAX_WAITING_BYTES_OF_ORG, RETRY_UPLOAD_MS } from "./upload-limits.ts";

interface Waiting<Item, Result> extends PromiseWithResolvers<Result> {
  readonly item: Item;
  readonly bytes: number;
}

/** Writes what comes for one organisation together: one transaction, one sync of the disk, whatever came meanwhile. */
export type WriteGroup<Item, Result> = (orgId: string, items: readonly Item[]) => Promise<readonly Result[]>;

/** What waits for one organisation. */
interface Queue<Item, Result> {
  readonly waiting: Waiting<Item, Result>[];
  /** With what is being written. */
  bytes: number;
}

/**
 * Group commit: what comes while a transaction runs goes into the next one. Nothing waits for company, and no more
 * than `MAX_WAITING_BYTES` wait in all, `MAX_WAITING_BYTES_OF_ORG` of them for one organisation.
 */
export class GroupWriter<Item, Result> {
  readonly #write: WriteGroup<Item, Result>;
  readonly #queues = new Map<string, Queue<Item, Result>>();
  #bytes = 0;

  constructor(write: WriteGroup<Item, Result>) {
    this.#write = write;
  }

  /** Resolves when it is stored. Fails with `server.busy` while too much waits, and as the transaction does. */
  async submit(orgId: string, item: Item, bytes: number): Promise<Result> {
    const queue = this.#queues.get(orgId) ?? { waiting: [], bytes: 0 };
    if (this.#bytes + bytes > MAX_WAITING_BYTES || queue.bytes + bytes > MAX_WAITING_BYTES_OF_ORG) {
      throw new SlowDownProblem("server.busy", RETRY_UPLOAD_MS);
    }
    const own = { ...Promise.withResolvers<Result>(), item, bytes };
    this.#bytes += bytes;
    queue.bytes += bytes;
    queue.waiting.push(own);
    if (!this.#queues.has(orgId)) {
      this.#queues.set(orgId, queue);
      void this.#drain(orgId, queue);
    }
    try {
      return await own.promise;
    } finally {
      this.#bytes -= bytes;
      queue.bytes -= bytes;
    }
  }

  async #drain(orgId: string, { waiting }: Queue<Item, Result>): Promise<void> {
    // What arrives in the same turn goes along.
    await Promise.resolve();
    while (waiting.length > 0) await this.#writeGroup(orgId, waiting.splice(0, groupLength(waiting)));
    this.#queues.delete(orgId);
  }

  async #writeGroup(orgId: string, group: readonly Waiting<Item, Result>[]): Promise<void> {
    try {
      const results = await this.#write(
        orgId,
        group.map(({ item }) => item),
      );
      for (const [at, { resolve, reject }] of group.entries()) {
        const result = results[at];
        if (result === undefined) reject(new Error("a group was answered in part"));
        else resolve(result);
      }
    } catch (failure) {
      for (const { reject } of group) reject(failure);
    }
  }
}

function groupLength(queue: readonly { readonly bytes: number }[]): number {
  let bytes = 0;
  const end = queue.findIndex((one) => {
    bytes += one.bytes;
    return bytes > MAX_GROUP_BYTES;
  });
  return end < 0 ? queue.length : Math.max(end, 1);
}
