import type { LookUp } from "./resolve-checked.ts";

/** Addresses that were asked for. Disposing says that nobody waits for them any more. */
export interface AskedAddresses extends Disposable {
  readonly found: Promise<readonly string[]>;
}

/** A name that waits for its turn, and how many wait for it. */
interface Waiting {
  readonly found: PromiseWithResolvers<readonly string[]>;
  users: number;
}

const NOTHING = () => undefined;

/**
 * Looks names up, a few at a time: the system's resolver takes a thread for each, for seconds where a name's servers
 * are silent. A run that has as many under way as are left waits, so that one whose names never answer leaves room for
 * the others; and each name is looked up once at a time, whoever asks.
 */
export class FairLookUps {
  readonly #lookUp: LookUp;
  #free: number;
  readonly #held = new Map<string, number>();
  readonly #running = new Map<string, Promise<readonly string[]>>();
  /** By run, whose turn is next first; then by name. */
  readonly #waiting = new Map<string, Map<string, Waiting>>();

  constructor(lookUp: LookUp, count: number) {
    this.#lookUp = lookUp;
    this.#free = count;
  }

  /** The addresses of a name for a run. Rejects as the lookup does. */
  ask(runId: string, name: string): AskedAddresses {
    const running = this.#running.get(name);
    if (running !== undefined) return { found: running, [Symbol.dispose]: NOTHING };
    if (this.#mayStart(runId)) return { found: this.#start(runId, name), [Symbol.dispose]: NOTHING };
    return this.#wait(runId, name);
  }

  #mayStart(runId: string): boolean {
    return (this.#held.get(runId) ?? 0) < this.#free;
  }

  #start(runId: string, name: string): Promise<readonly string[]> {
    this.#count(runId, 1);
    const found = this.#lookUp(name).finally(() => {
      this.#running.delete(name);
      this.#count(runId, -1);
      this.#startWaiting();
    });
    this.#running.set(name, found);
    return found;
  }

  #count(runId: string, change: 1 | -1): void {
    const held = (this.#held.get(runId) ?? 0) + change;
    this.#free -= change;
    if (held === 0) this.#held.delete(runId);
    else this.#held.set(runId, held);
  }

  #wait(runId: string, name: string): AskedAddresses {
    const names = this.#waiting.get(runId) ?? new Map<string, Waiting>();
    this.#waiting.set(runId, names);
    const waiting = names.get(name) ?? { found: Promise.withResolvers(), users: 0 };
    names.set(name, waiting);
    waiting.users += 1;
    return { found: waiting.found.promise, [Symbol.dispose]: () => this.#leave(runId, name, waiting) };
  }

  /** What nobody waits for is not looked up. */
  #leave(runId: string, name: string, waiting: Waiting): void {
    waiting.users -= 1;
    const names = this.#waiting.get(runId);
    if (waiting.users > 0 || names?.get(name) !== waiting) return;
    names.delete(name);
    if (names.size === 0) this.#waiting.delete(runId);
  }

  /** Starts what may be started now, one name of each run in turn. */
  #startWaiting(): void {
    let hasStarted = true;
    while (hasStarted) {
      hasStarted = false;
      for (const [runId, names] of [...this.#waiting]) hasStarted = this.#startNext(runId, names) || hasStarted;
    }
  }

  #startNext(runId: string, names: Map<string, Waiting>): boolean {
    const [next] = names;
    if (next === undefined || !this.#mayStart(runId)) return false;
    const [name, { found }] = next;
    names.delete(name);
    // Behind the other runs.
    this.#waiting.delete(runId);
    if (names.size > 0) this.#waiting.set(runId, names);
    found.resolve(this.#running.get(name) ?? this.#start(runId, name));
    return true;
  }
}
