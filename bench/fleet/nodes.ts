// Many simulated nodes in one process. Told what to do over its channel: `{kind: "nodes", …}`, then any of the others.
import { setTimeout as wait } from "node:timers/promises";
import { type NodeSeed, type ServerSeed, SimulatedNode } from "./simulated-node.ts";

type Order =
  | { readonly kind: "nodes"; readonly seeds: readonly NodeSeed[]; readonly server: ServerSeed }
  /** Opens a connection, a session and a control stream for each, `concurrency` at a time. */
  | { readonly kind: "connect"; readonly concurrency: number }
  | { readonly kind: "heartbeat"; readonly concurrency: number }
  /** Waits until each has applied this generation of its bundle; answers the bytes of bundles that each was sent since. */
  | { readonly kind: "applied"; readonly generation: number };

const LOOK_EVERY_MS = 20;

let nodes: readonly SimulatedNode[] = [];

process.on("message", (order: Order) => {
  void carryOut(order).then(
    (values) => process.send?.({ kind: "done", values }),
    (failure: unknown) => process.send?.({ kind: "failed", why: String(failure) }),
  );
});
process.on("disconnect", () => {
  for (const node of nodes) node[Symbol.dispose]();
});
process.send?.({ kind: "ready" });

/** Milliseconds that each node took, or bytes. */
async function carryOut(order: Order): Promise<readonly number[]> {
  switch (order.kind) {
    case "nodes":
      nodes = order.seeds.map((seed) => new SimulatedNode(seed, order.server));
      return [];
    case "applied":
      while (nodes.some((node) => node.generation < order.generation)) await wait(LOOK_EVERY_MS);
      return nodes.map((node) => node.takeBundleBytes());
    default:
      return each(order.concurrency, (node) => (order.kind === "connect" ? node.connect() : node.beat()));
  }
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
