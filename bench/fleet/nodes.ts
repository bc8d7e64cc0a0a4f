// Many simulated nodes in one process. Told what to do over its channel: `{kind: "nodes", …}`, then any of the others.
import { setTimeout as wait } from "node:timers/promises";
import { AskingHost } from "./asking-host.ts";
import { type NodeSeed, type ServerSeed, SimulatedNode } from "./simulated-node.ts";

type Order =
  | { readonly kind: "nodes"; readonly seeds: readonly NodeSeed[]; readonly server: ServerSeed }
  /** Opens a connection, a session and a control stream for each, `concurrency` at a time. */
  | { readonly kind: "connect"; readonly concurrency: number }
  | { readonly kind: "heartbeat"; readonly concurrency: number }
  /** Waits until each has applied this generation of its bundle; answers the bytes of bundles that each was sent since. */
  | { readonly kind: "applied"; readonly generation: number }
  /** Waits until each was told of so many revocations. */
  | { readonly kind: "revoked"; readonly revocations: number }
  /** Asks to become nodes, with a connection and keys for each code. */
  | { readonly kind: "register"; readonly codes: readonly string[]; readonly concurrency: number };

const LOOK_EVERY_MS = 20;

let nodes: readonly SimulatedNode[] = [];
let url = "";

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
      url = order.server.url;
      nodes = order.seeds.map((seed) => new SimulatedNode(seed, order.server));
      return [];
    case "applied":
      while (nodes.some((node) => node.generation < order.generation)) await wait(LOOK_EVERY_MS);
      return nodes.map((node) => node.takeBundleBytes());
    case "revoked":
      while (nodes.some((node) => node.revocations < order.revocations)) await wait(LOOK_EVERY_MS);
      return [];
    case "register": {
      const hosts = order.codes.map((code) => new AskingHost(code, url));
      return inLanes(hosts, order.concurrency, (host) => host.register());
    }
    default:
      return inLanes(nodes, order.concurrency, (node) => (order.kind === "connect" ? node.connect() : node.beat()));
  }
}

async function inLanes<T>(all: readonly T[], concurrency: number, work: (one: T) => Promise<void>) {
  const waiting = [...all];
  const took: number[] = [];
  const lane = async () => {
    for (let one = waiting.pop(); one !== undefined; one = waiting.pop()) {
      const startedMs = performance.now();
      await work(one);
      took.push(performance.now() - startedMs);
    }
  };
  await Promise.all(Array.from({ length: concurrency }, lane));
  return took;
}
