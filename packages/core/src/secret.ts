const PRINTED = "[secret]";

/**
 * A plaintext that prints `[secret]` wherever it is shown by accident: string conversion, JSON, `util.inspect`.
 * Only `reveal` gives the value; the files that may call it are a short reviewed list.
 */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  /** The plaintext. Call as late as possible and keep the result in no object that outlives the call. */
  reveal(): string {
    return this.#value;
  }

  toString(): string {
    return PRINTED;
  }

  toJSON(): string {
    return PRINTED;
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return PRINTED;
  }
}
