export interface Passing<T> {
  /** What is thrown here ends what passes. */
  readonly onItem?: (item: T) => void;
  /** What the reader fails with instead. */
  readonly onFailure?: (failure: unknown) => unknown;
}

/** The same items, looked at as they pass. A generator would do, but each idle stream would hold it asleep. */
export function passAlong<T>(items: AsyncIterable<T>, passing: Passing<T>): AsyncIterableIterator<T> {
  return new Passage(items[Symbol.asyncIterator](), passing);
}

class Passage<T> implements AsyncIterableIterator<T> {
  readonly #items: AsyncIterator<T>;
  readonly #passing: Passing<T>;

  constructor(items: AsyncIterator<T>, passing: Passing<T>) {
    this.#items = items;
    this.#passing = passing;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<T>> {
    const { onItem } = this.#passing;
    const next = this.#items.next();
    return this.#reported(onItem === undefined ? next : next.then((item) => this.#look(item, onItem)));
  }

  /** The reader wants no more. */
  async return(): Promise<IteratorResult<T>> {
    await this.#items.return?.();
    return { done: true, value: undefined };
  }

  /** The reader was cut off. */
  throw(failure: unknown): Promise<IteratorResult<T>> {
    return this.#reported(this.#items.throw?.(failure) ?? Promise.reject(failure));
  }

  #reported(next: Promise<IteratorResult<T>>): Promise<IteratorResult<T>> {
    const { onFailure } = this.#passing;
    if (onFailure === undefined) return next;
    return next.catch((failure: unknown) => {
      throw onFailure(failure);
    });
  }

  #look(item: IteratorResult<T>, onItem: (item: T) => void): IteratorResult<T> {
    if (item.done === true) return item;
    try {
      onItem(item.value);
      return item;
    } catch (failure) {
      void this.return().catch(() => undefined);
      throw failure;
    }
  }
}
