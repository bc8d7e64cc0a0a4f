/**
 * Writes one state file, one write at a time and never an older state over a newer one. Changes that come during a
 * write share the next, so a burst costs two writes; each caller is answered when a write that holds its change is done.
 */
export class CoalescedWriter {
  readonly #writeNow: () => Promise<void>;
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  /** `writeNow` takes the state of the moment at which it is called, before it first waits. */
  constructor(writeNow: () => Promise<void>) {
    this.#writeNow = writeNow;
  }

  /** Resolves when the state of now is durable; fails as `writeNow` does. */
  write(): Promise<void> {
    if (this.#next !== undefined) return this.#next;
    if (this.#running === undefined) return this.#start();
    const follow = () => this.#start();
    this.#next = this.#running.then(follow, follow);
    return this.#next;
  }

  #start(): Promise<void> {
    this.#next = undefined;
    const running = this.#writeNow().finally(() => {
      if (this.#running === running) this.#running = undefined;
    });
    this.#running = running;
    return running;
  }
}
