/**
 * Messages on their way to one reader, in order. Bounded: a reader that is too slow is for the writer to end. The reader
 * is a `for await`; what was pushed before the end still reaches it, a failure is thrown to it.
 */
export class MessageQueue<T> implements AsyncIterable<T> {
  readonly #capacity: number;
  readonly #items: T[] = [];
  #end: { readonly failure?: unknown } | undefined;
  #wake: (() => void) | undefined;

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
    this.#wakeReader();
    return true;
  }

  /** Nothing comes after what is there. The first end counts. */
  end(): void {
    this.#end ??= {};
    this.#wakeReader();
  }

  /** The reader fails after what is there. */
  fail(failure: unknown): void {
    this.#end ??= { failure };
    this.#wakeReader();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    for (;;) {
      for (let item = this.#items.shift(); item !== undefined; item = this.#items.shift()) yield item;
      if (this.#end !== undefined) {
        if ("failure" in this.#end) throw this.#end.failure;
        return;
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  #wakeReader(): void {
    this.#wake?.();
    this.#wake = undefined;
  }
}
