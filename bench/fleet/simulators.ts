import { once } from "node:events";
import { type Measured, startProgram } from "../process.ts";
import type { NodeSeed, ServerSeed } from "./simulated-node.ts";

const NODES = new URL("nodes.ts", import.meta.url);

/** Simulated nodes, spread over processes. */
export class Simulators implements AsyncDisposable {
  readonly #processes: readonly Measured[];

  private constructor(processes: readonly Measured[]) {
    this.#processes = processes;
  }

  static async start(seeds: readonly NodeSeed[], server: ServerSeed, processes: number): Promise<Simulators> {
    const started = await Promise.all(Array.from({ length: processes }, () => startProgram(NODES, [])));
    await Promise.all(
      started.map((one, at) => {
        const own = seeds.filter((_, index) => index % processes === at);
        return tell(one, { kind: "nodes", seeds: own, server });
      }),
    );
    return new Simulators(started);
  }

  /** What each node answers to an order of `nodes.ts`. */
  async all(order: object): Promise<readonly number[]> {
    return (await Promise.all(this.#processes.map((one) => tell(one, order)))).flat();
  }

  /** Gives each process its share of a list. */
  async spread<T>(list: readonly T[], order: (own: readonly T[]) => object): Promise<readonly number[]> {
    const { length } = this.#processes;
    const shares = this.#processes.map((one, at) => tell(one, order(list.filter((_, index) => index % length === at))));
    return (await Promise.all(shares)).flat();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#processes.map((one) => one[Symbol.asyncDispose]()));
  }
}

type Answer = readonly [{ readonly kind: string; readonly values: readonly number[]; readonly why?: string }];

async function tell({ child }: Measured, order: object): Promise<readonly number[]> {
  const settled = new AbortController();
  const { signal } = settled;
  const ended = once(child, "exit", { signal }).then((): never => {
    throw new Error("a simulator ended");
  });
  try {
    const answered = once(child, "message", { signal }) as Promise<unknown> as Promise<Answer>;
    child.send(order);
    const [{ kind, values, why }] = await Promise.race([answered, ended]);
    if (kind !== "done") throw new Error(`a simulator failed: ${why}`);
    return values;
  } finally {
    ended.catch(() => undefined);
    settled.abort();
  }
}
