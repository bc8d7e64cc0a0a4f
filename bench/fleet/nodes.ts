// Many simulated nodes in one process. Told what to do over its channel: `{kind: "nodes", …}`, then any of the others.
import { type NodeSeed, type ServerSeed, SimulatedNode } from "./simulated-node.ts";

type Order =
  | { readonly kind: "nodes"; readonly seeds: readonly NodeSeed[]; readonly server: ServerSeed }
  /** Opens a connection and a session for each, `concurrency` at a time. */
  | { readonly kind: "connect"; readonly concurrency: number }
  | { readonly kind: "heartbeat"; readonly concurrency: number };

let nodes: readonly SimulatedNode[] = [];

process.on("message", (order: Order) => {
  void carryOut(order).then(
    (took) => process.send?.({ kind: "done", took }),
    (failure: unknown) => process.send?.({ kind: "failed", why: String(failure) }),
  );
});
process.on("disconnect", () => {
  for (const node of nodes) node[Symbol.dispose]();
});
process.send?.({ kind: "ready" });

/** Milliseconds that each node took. */
async function carryOut(order: Order): Promise<readonly number[]> {
  if (order.kind === "nodes") {
    nodes = order.seeds.map((seed) => new SimulatedNode(seed, order.server));
    return [];
  }
  return each(order.concurrency, (node) => (order.kind === "connect" ? node.connect() : node.beat()));
}

async function each(concurrency: number, work: (node: SimulatedNode) => Promise<void>): Promise<readonly number[]> {
  const waiting = [...nodes];
  const took: number[] = [];
  const lane = async () => {
    for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
      const startedMs = performance.now();
      await work(node);
      took.push(performance.now() - startedMs);
    }
  };
  await Promise.all(Array.from({ length: concurrency }, lane));
  return took;
}
