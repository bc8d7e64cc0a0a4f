/**
 * Messages on their way to one reader, in order. Bounded: a reader that is too slow is for the writer to end. The reader
 * is a `for await`; what was pushed before the end still reaches it, a failure is thrown to it.
 */
export class MessageQueue<T> implements AsyncIterableIterator<T> {
  readonly #capacity: number;
  readonly #items: T[] = [];
  #end: { readonly failure?: unknown } | undefined;
  #reader: PromiseWithResolvers<IteratorResult<T>> | undefined;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  get hasEnded(): boolean {
    return this.#end !== undefined;
  }

  /** False when there is no room or no more reader. */
  push(item: T): boolean {
    if (this.#end !== undefined || this.#items.length >= this.#capacity) return false;
    this.#items.push(item);
    this.#handOver();
    return true;
  }

  /** Nothing comes after what is there. The first end counts. */
  end(): void {
    this.#end ??= {};
    this.#handOver();
  }

  /** The reader fails after what is there. */
  fail(failure: unknown): void {
    this.#end ??= { failure };
    this.#handOver();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** By hand: a generator takes several times as much memory while it waits, and servers hold thousands of them. */
  next(): Promise<IteratorResult<T>> {
    const reader = Promise.withResolvers<IteratorResult<T>>();
    this.#reader = reader;
    this.#handOver();
    return reader.promise;
  }

  /** The reader wants no more. */
  return(): Promise<IteratorResult<T>> {
    return Promise.resolve({ done: true, value: undefined });
  }

  throw(failure: unknown): Promise<IteratorResult<T>> {
    return Promise.reject(failure);
  }

  #handOver(): void {
    const reader = this.#reader;
    if (reader === undefined) return;
    const item = this.#items.shift();
    if (item !== undefined) reader.resolve({ done: false, value: item });
    else if (this.#end === undefined) return;
    else if ("failure" in this.#end) reader.reject(this.#end.failure);
    else reader.resolve({ done: true, value: undefined });
    this.#reader = undefined;
  }
}
