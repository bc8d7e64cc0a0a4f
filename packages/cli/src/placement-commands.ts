import type { Command } from "commander";
import { collect, declare } from "./declare-command.ts";
import { withExamples } from "./help-pages.ts";

/** What is done to nodes that are there: where runs go, by which labels nodes are found, what they may have. */
export function addPlacementCommands(nodes: Command): void {
  addBatchCommands(nodes);
  declare(
    nodes,
    "transfer",
    "hand a node's labels and credentials over to another one, and cordon it",
    async () => (await import("./commands/nodes-transfer.ts")).transfer,
  )
    .argument("<from>", "name or id")
    .argument("<to>", "name or id")
    .option("--json", "print JSON");
  const label = declare(
    nodes,
    "label",
    "set labels of a node, and take others away",
    async () => (await import("./commands/nodes-label.ts")).label,
  )
    .argument("<node>", "name or id")
    .argument("<label...>", "key=value, or key- for one that ends")
    .option("--json", "print JSON");
  withExamples(label, "nodes label n1 zone=east tier-");
  for (const [verb, says] of [
    ["cordon", "admit no new run on a node"],
    ["uncordon", "admit runs on a node again"],
    ["rotate-key", "end a node's API keys and session; its next handshake brings a fresh key"],
    ["accept", "let a node that is in quarantine have commands and credentials again"],
  ] as const) {
    declare(nodes, verb, says, async () => (await import("./commands/nodes-change.ts"))[NODE_CHANGES[verb]])
      .argument("<node>", "name or id")
      .option("--json", "print JSON");
  }
}

/** The functions that carry out what is done to one node. */
const NODE_CHANGES = { cordon: "cordon", uncordon: "uncordon", "rotate-key": "rotateKey", accept: "accept" } as const;

/** What is asked of nodes by name, or of all with a label, in one batch. */
function addBatchCommands(nodes: Command): void {
  declare(
    nodes,
    "ping",
    "ask nodes whether they take commands",
    async () => (await import("./commands/nodes-command.ts")).ping,
  )
    .argument("[node...]", "names or ids")
    .option("--label <key=value>", "instead: nodes with this label (repeat)", collect, [])
    .option("--json", "print JSON");
  const drain = declare(
    nodes,
    "drain",
    "admit no new run on nodes, and stop what is left after a while",
    async () => (await import("./commands/nodes-command.ts")).drain,
  )
    .argument("[node...]", "names or ids")
    .option("--label <key=value>", "instead: nodes with this label (repeat)", collect, [])
    .option("--within <time>", "how long their runs may take to end by themselves", "10m")
    .option("--json", "print JSON");
  withExamples(drain, "nodes drain n1 --within 5m", "nodes drain --label zone=east");
}
