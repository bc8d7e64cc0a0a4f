import { Problem } from "@gatehouse/core";

export interface IpcCallOptions {
  /** Default: none; the call ends with its answer or with the other process. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

interface PendingCall {
  readonly resolve: (value: unknown) => void;
  readonly reject: (failure: unknown) => void;
  /** Removes the timer and the listener on the caller's signal. */
  readonly release: () => void;
}

/** Calls whose answer is awaited, by id, at most `max` of them. `onGiveUp` hears of those that nobody awaits any more. */
export class PendingCalls {
  readonly #max: number;
  readonly #onGiveUp: (id: number) => void;
  readonly #calls = new Map<number, PendingCall>();
  #lastId = 0;

  constructor(max: number, onGiveUp: (id: number) => void) {
    this.#max = max;
    this.#onGiveUp = onGiveUp;
  }

  /** Fails with `process.busy` when the bound is reached, or with the reason of a signal that is aborted already. */
  open({ timeoutMs, signal }: IpcCallOptions): { readonly id: number; readonly answer: Promise<unknown> } {
    signal?.throwIfAborted();
    if (this.#calls.size >= this.#max) throw new Problem("process.busy");
    this.#lastId += 1;
    const id = this.#lastId;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const onAbort = () => this.#giveUp(id, signal?.reason);
    const timer =
      timeoutMs === undefined
        ? undefined
        : setTimeout(() => this.#giveUp(id, new Problem("process.timeout")), timeoutMs);
    signal?.addEventListener("abort", onAbort, { once: true });
    const release = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
    };
    this.#calls.set(id, { resolve, reject, release });
    return { id, answer: promise };
  }

  resolve(id: number, value: unknown): void {
    this.#take(id)?.resolve(value);
  }

  reject(id: number, failure: unknown): void {
    this.#take(id)?.reject(failure);
  }

  rejectAll(failure: unknown): void {
    for (const id of [...this.#calls.keys()]) this.reject(id, failure);
  }

  #giveUp(id: number, failure: unknown): void {
    if (!this.#calls.has(id)) return;
    this.reject(id, failure);
    this.#onGiveUp(id);
  }

  #take(id: number): PendingCall | undefined {
    const call = this.#calls.get(id);
    this.#calls.delete(id);
    call?.release();
    return call;
  }
}
