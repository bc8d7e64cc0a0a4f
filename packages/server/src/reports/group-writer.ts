import { SlowDownProblem } from "../limits/slow-down-problem.ts";
import { MAX_GROUP_BYTES, MAX_WAITING_BYTES, MAX_WAITING_BYTES_OF_ORG, RETRY_UPLOAD_MS } from "./upload-limits.ts";

interface Waiting<Item, Result> extends PromiseWithResolvers<Result> {
  readonly item: Item;
  readonly bytes: number;
}

/** Writes what comes for one organisation together: one transaction, one sync of the disk, whatever came meanwhile. */
export type WriteGroup<Item, Result> = (orgId: string, items: readonly Item[]) => Promise<readonly Result[]>;

/**
 * Group commit: what comes while a transaction runs goes into the next one. Nothing waits for company, and no more
 * than `MAX_WAITING_BYTES` wait in all, `MAX_WAITING_BYTES_OF_ORG` of them for one organisation.
 */
export class GroupWriter<Item, Result> {
  readonly #write: WriteGroup<Item, Result>;
  readonly #queues = new Map<string, Waiting<Item, Result>[]>();
  readonly #reserved = new Map<string, number>();
  #bytes = 0;

  constructor(write: WriteGroup<Item, Result>) {
    this.#write = write;
  }

  /** Room for what is to be written, all of it, until it is disposed of. Fails with `server.busy` while too much waits. */
  reserve(orgId: string, bytes: number): Disposable {
    const own = this.#reserved.get(orgId) ?? 0;
    if (this.#bytes + bytes > MAX_WAITING_BYTES || own + bytes > MAX_WAITING_BYTES_OF_ORG) {
      throw new SlowDownProblem("server.busy", RETRY_UPLOAD_MS);
    }
    this.#bytes += bytes;
    this.#reserved.set(orgId, own + bytes);
    return {
      [Symbol.dispose]: () => {
        this.#bytes -= bytes;
        const left = (this.#reserved.get(orgId) ?? 0) - bytes;
        if (left > 0) this.#reserved.set(orgId, left);
        else this.#reserved.delete(orgId);
      },
    };
  }

  /** Resolves when it is stored. Fails as the transaction does. */
  write(orgId: string, item: Item, bytes: number): Promise<Result> {
    const own = { ...Promise.withResolvers<Result>(), item, bytes };
    const queue = this.#queues.get(orgId);
    if (queue !== undefined) queue.push(own);
    else void this.#drain(orgId, [own]);
    return own.promise;
  }

  async #drain(orgId: string, waiting: Waiting<Item, Result>[]): Promise<void> {
    this.#queues.set(orgId, waiting);
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
