interface OrgStore<Tx> {
  inOrg<T>(orgId: string, work: (tx: Tx) => Promise<T>): Promise<T>;
}

export interface SharedWork<Tx, Asked, Answer> {
  /** Answers what many ask, in their order. */
  readonly work: (tx: Tx, asked: readonly Asked[]) => Promise<readonly Answer[]>;
  /**
   * Whether it may be done again where nobody knows if it was done: then those who shared a transaction that failed are
   * each tried alone, so that what one of them asks cannot fail the others.
   */
  readonly isRepeatable: boolean;
}

interface Waiting<Asked, Answer> extends PromiseWithResolvers<Answer> {
  readonly asked: Asked;
}

/** Streams that share a transaction. The event loop turns between two of them. */
const MAX_AT_ONCE = 64;

/**
 * Does for many streams together what each of them asks: whichever of an organisation's ask in one breath, or while a
 * transaction of theirs is under way, share the next one. A stream asks again when it was answered, so no more wait than
 * there are streams.
 */
export class SharedTransactions<Tx, Asked, Answer> {
  readonly #store: OrgStore<Tx>;
  readonly #shared: SharedWork<Tx, Asked, Answer>;
  readonly #waiting = new Map<string, Waiting<Asked, Answer>[]>();

  constructor(store: OrgStore<Tx>, shared: SharedWork<Tx, Asked, Answer>) {
    this.#store = store;
    this.#shared = shared;
  }

  /** The answer, once the transaction is committed that began after this was called. Fails as the store does. */
  ask(orgId: string, asked: Asked): Promise<Answer> {
    const own = { ...Promise.withResolvers<Answer>(), asked };
    const waiting = this.#waiting.get(orgId);
    if (waiting === undefined) void this.#begin(orgId, [own]);
    else waiting.push(own);
    return own.promise;
  }

  async #begin(orgId: string, waiting: Waiting<Asked, Answer>[]): Promise<void> {
    this.#waiting.set(orgId, waiting);
    // Whoever asks in the same breath; one alone waits no turn of the event loop for others.
    await Promise.resolve();
    while (waiting.length > 0) {
      await this.#answer(orgId, waiting.splice(0, MAX_AT_ONCE));
      await new Promise((resolve) => setImmediate(resolve));
    }
    this.#waiting.delete(orgId);
  }

  async #answer(orgId: string, asking: readonly Waiting<Asked, Answer>[]): Promise<void> {
    try {
      const answers = await this.#answersOf(orgId, asking);
      for (const [at, answer] of answers.entries()) asking[at]?.resolve(answer);
    } catch (failure) {
      const isRepeated = this.#shared.isRepeatable && asking.length > 1;
      if (isRepeated) for (const one of asking) await this.#answer(orgId, [one]);
      else for (const { reject } of asking) reject(failure);
    }
  }

  async #answersOf(orgId: string, asking: readonly Waiting<Asked, Answer>[]): Promise<readonly Answer[]> {
    const asked = asking.map((one) => one.asked);
    const answers = await this.#store.inOrg(orgId, (tx) => this.#shared.work(tx, asked));
    if (answers.length !== asking.length) throw new Error("a shared transaction answered in part");
    return answers;
  }
}
