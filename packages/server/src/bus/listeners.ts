import type { BusListener, BusMessage } from "./bus.ts";

/** Who hears of changes on this replica. Listeners must not throw. */
export class Listeners {
  readonly #all = new Set<BusListener>();

  add(listener: BusListener): Disposable {
    this.#all.add(listener);
    return { [Symbol.dispose]: () => void this.#all.delete(listener) };
  }

  deliver(message: BusMessage): void {
    for (const listener of [...this.#all]) listener.onMessage(message);
  }

  lookAgain(): void {
    for (const listener of [...this.#all]) listener.onGap();
  }

  clear(): void {
    this.#all.clear();
  }
}
