import { type LookingStream, type LookTransaction, lookForStreams, type Seen } from "./look-for-streams.ts";

interface LookStore {
  inOrg<T>(orgId: string, work: (tx: LookTransaction) => Promise<T>): Promise<T>;
}

interface Waiting extends PromiseWithResolvers<Seen | undefined> {
  readonly stream: LookingStream;
}

/** Streams that one transaction looks for. The event loop turns between two of them. */
const MAX_AT_ONCE = 64;

/**
 * Looks for streams together: whichever of an organisation's ask in one turn of the event loop, or while a look is under
 * way, share the next transaction. A stream asks again when it was answered, so no more wait than there are streams.
 */
export class StreamLooks {
  readonly #store: LookStore;
  readonly #waiting = new Map<string, Waiting[]>();

  constructor(store: LookStore) {
    this.#store = store;
  }

  /** What there is for a stream once this was called; `undefined`: it is not the node's any more. Fails as the store does. */
  look(orgId: string, stream: LookingStream): Promise<Seen | undefined> {
    const own = { ...Promise.withResolvers<Seen | undefined>(), stream };
    const waiting = this.#waiting.get(orgId);
    if (waiting === undefined) void this.#begin(orgId, [own]);
    else waiting.push(own);
    return own.promise;
  }

  async #begin(orgId: string, waiting: Waiting[]): Promise<void> {
    this.#waiting.set(orgId, waiting);
    while (waiting.length > 0) {
      await new Promise((resolve) => setImmediate(resolve));
      await this.#lookFor(orgId, waiting.splice(0, MAX_AT_ONCE));
    }
    this.#waiting.delete(orgId);
  }

  async #lookFor(orgId: string, asking: readonly Waiting[]): Promise<void> {
    try {
      const streams = asking.map(({ stream }) => stream);
      const seen = await this.#store.inOrg(orgId, (tx) => lookForStreams(tx, streams));
      for (const [at, { resolve }] of asking.entries()) resolve(seen[at]);
    } catch (failure) {
      for (const { reject } of asking) reject(failure);
    }
  }
}
