type Closeable = AsyncDisposable | Disposable;

/**
 * Owns what was opened and closes it in reverse order, once. Every close is tried; several failures leave together
 * as one `AggregateError`. What is handed over after closing began is closed at once and refused.
 */
export class Lifetime implements AsyncDisposable {
  readonly #owned: Closeable[] = [];
  readonly #abort = new AbortController();
  readonly #tasks = new Set<Promise<void>>();
  readonly #failures: unknown[] = [];
  #closing: Promise<void> | undefined;

  /** Aborts when closing begins. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Whether closing began, finished or not. */
  get isClosing(): boolean {
    return this.#closing !== undefined;
  }

  /** Takes ownership and returns the same thing. */
  own<T extends Closeable>(thing: T): T {
    if (this.#closing) {
      this.run(() => close(thing));
      throw new Error("a lifetime that is closing cannot own more");
    }
    this.#owned.push(thing);
    return thing;
  }

  /** Calls `release` at its place in the closing order. */
  defer(release: () => void | Promise<void>): void {
    this.own({ [Symbol.asyncDispose]: async () => release() });
  }

  /** Runs a task in the background; closing awaits it and reports its failure. Give it `signal` so that it can end. */
  run(task: (signal: AbortSignal) => Promise<void>): void {
    const running = (async () => task(this.signal))()
      .catch((failure: unknown) => {
        if (!this.#isOwnCancellation(failure)) this.#failures.push(failure);
      })
      .finally(() => this.#tasks.delete(running));
    this.#tasks.add(running);
  }

  /** Node's timers, events and streams throw an `AbortError` of their own, with the signal's reason as its cause. */
  #isOwnCancellation(failure: unknown): boolean {
    if (!this.signal.aborted) return false;
    return failure === this.signal.reason || (failure instanceof Error && failure.cause === this.signal.reason);
  }

  /** Closes everything; a second call waits for the first and reports the same. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#closing ??= this.#closeAll();
    return this.#closing;
  }

  async #closeAll(): Promise<void> {
    this.#abort.abort(new DOMException("closing", "AbortError"));
    for (let thing = this.#owned.pop(); thing !== undefined; thing = this.#owned.pop()) {
      try {
        await close(thing);
      } catch (failure) {
        this.#failures.push(failure);
      }
    }
    while (this.#tasks.size > 0) await Promise.all(this.#tasks);
    if (this.#failures.length === 1) throw this.#failures[0];
    if (this.#failures.length > 1) throw new AggregateError(this.#failures, "several things failed to close");
  }
}

async function close(thing: Closeable): Promise<void> {
  if (Symbol.asyncDispose in thing) await thing[Symbol.asyncDispose]();
  else thing[Symbol.dispose]();
}
