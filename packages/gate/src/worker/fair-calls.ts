import { FairShares, type Share } from "./fair-shares.ts";

/** What was asked for. Disposing says that its asker does not wait for it any more: it may never be found then. */
export interface Asked<T> extends Disposable {
  readonly found: Promise<T>;
}

/** A name that waits for its turn, and how many wait for it. */
interface Waiting<T> {
  readonly found: PromiseWithResolvers<T>;
  users: number;
}

const NOTHING = () => undefined;

/**
 * Asks for names, a few at a time: of the system's resolver, which takes a thread for each, for seconds where a name's
 * servers are silent; of the key-holder for leaves, each a signature. A run that has as many under way as are left
 * waits, so that one whose names have no end leaves room for the others; and each name is asked for once at a time,
 * whoever wants it.
 */
export class FairCalls<T> {
  readonly #call: (name: string) => Promise<T>;
  readonly #shares: FairShares;
  readonly #running = new Map<string, Promise<T>>();
  /** By run, whose turn is next first; then by name. */
  readonly #waiting = new Map<string, Map<string, Waiting<T>>>();

  constructor(call: (name: string) => Promise<T>, count: number) {
    this.#call = call;
    this.#shares = new FairShares(count);
  }

  /** What is found for a name, asked for by a run. Rejects as the call does. */
  ask(runId: string, name: string): Asked<T> {
    const running = this.#running.get(name);
    if (running !== undefined) return { found: running, [Symbol.dispose]: NOTHING };
    const share = this.#shares.open(runId);
    if (share.resize(1)) return { found: this.#start(share, name), [Symbol.dispose]: NOTHING };
    return this.#wait(runId, name);
  }

  #start(share: Share, name: string): Promise<T> {
    const found = this.#call(name).finally(() => {
      this.#running.delete(name);
      share[Symbol.dispose]();
      this.#startWaiting();
    });
    this.#running.set(name, found);
    return found;
  }

  #wait(runId: string, name: string): Asked<T> {
    const names = this.#waiting.get(runId) ?? new Map<string, Waiting<T>>();
    this.#waiting.set(runId, names);
    const waiting = names.get(name) ?? { found: Promise.withResolvers(), users: 0 };
    names.set(name, waiting);
    waiting.users += 1;
    return { found: waiting.found.promise, [Symbol.dispose]: () => this.#leave(runId, name, waiting) };
  }

  /** What nobody waits for is not asked for. */
  #leave(runId: string, name: string, waiting: Waiting<T>): void {
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

  #startNext(runId: string, names: Map<string, Waiting<T>>): boolean {
    const [next] = names;
    const share = this.#shares.open(runId);
    if (next === undefined || !share.resize(1)) return false;
    const [name, { found }] = next;
    names.delete(name);
    // Behind the other runs.
    this.#waiting.delete(runId);
    if (names.size > 0) this.#waiting.set(runId, names);
    const running = this.#running.get(name);
    if (running !== undefined) share[Symbol.dispose]();
    found.resolve(running ?? this.#start(share, name));
    return true;
  }
}
