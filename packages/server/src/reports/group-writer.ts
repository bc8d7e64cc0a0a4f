import { Problem } from "@gatehouse/core";
import { MAX_GROUP_BYTES, MAX_WAITING_BYTES } from "./upload-limits.ts";

interface Waiting<Item, Result> extends PromiseWithResolvers<Result> {
  readonly item: Item;
  readonly bytes: number;
}

/** Writes what comes for one organisation together: one transaction, one sync of the disk, whatever came meanwhile. */
export type WriteGroup<Item, Result> = (orgId: string, items: readonly Item[]) => Promise<readonly Result[]>;

/**
 * Group commit: what comes while a transaction runs goes into the next one. Nothing waits for company, and no more
 * than `MAX_WAITING_BYTES` wait in all.
 */
export class GroupWriter<Item, Result> {
  readonly #write: WriteGroup<Item, Result>;
  readonly #waiting = new Map<string, Waiting<Item, Result>[]>();
  #bytes = 0;

  constructor(write: WriteGroup<Item, Result>) {
    this.#write = write;
  }

  /** Resolves when it is stored. Fails with `uploads.too_much` while too much waits, and as the transaction does. */
  async submit(orgId: string, item: Item, bytes: number): Promise<Result> {
    if (this.#bytes + bytes > MAX_WAITING_BYTES) throw new Problem("uploads.too_much", { detail: "Try later." });
    const own = { ...Promise.withResolvers<Result>(), item, bytes };
    this.#bytes += bytes;
    const queue = this.#waiting.get(orgId);
    if (queue === undefined) {
      this.#waiting.set(orgId, [own]);
      void this.#drain(orgId);
    } else queue.push(own);
    try {
      return await own.promise;
    } finally {
      this.#bytes -= bytes;
    }
  }

  async #drain(orgId: string): Promise<void> {
    // What arrives in the same turn goes along.
    await Promise.resolve();
    for (;;) {
      const queue = this.#waiting.get(orgId) ?? [];
      const group = queue.splice(0, groupLength(queue));
      if (group.length === 0) break;
      await this.#writeGroup(orgId, group);
    }
    this.#waiting.delete(orgId);
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
