import { Problem, systemClock } from "@gatehouse/core";
import { type Node, NodeState, SentCommand_State } from "@gatehouse/wire";
import { type Invocation, isSet, listOption, textOption } from "../invocation.ts";
import { allNodes } from "../operator/all-pages.ts";
import { type CommandKind, requireDone, sendToNodes } from "../operator/command-node.ts";
import { asOperator, type Operator } from "../operator/open-operator.ts";
import { printJson, printLine, printTable } from "../terminal/print.ts";
import { readDuration } from "../terminal/read-duration.ts";
import { readLabels } from "../terminal/read-labels.ts";

const PING = { case: "ping", value: {} } as const;
const PING_WITHIN_MS = 10_000;
/** For runs that are stopped at a drain's deadline. */
const STOP_WITHIN_MS = 30_000;

/** Asks nodes whether they take commands. */
export function ping(invocation: Invocation): Promise<number> {
  return asOperator(invocation.config.state.dir, async (operator) => {
    const nodes = await chosenNodes(operator, invocation);
    return commandAll(operator, { invocation, nodes, kind: PING, ttlMs: PING_WITHIN_MS, withinMs: 0 });
  });
}

/** Admits no new run on nodes, waits for the runs that are there, and stops those that are left in the end. */
export function drain(invocation: Invocation): Promise<number> {
  const withinMs = readDuration(textOption(invocation, "within") ?? "10m", "--within");
  return asOperator(invocation.config.state.dir, async (operator) => {
    const nodes = await chosenNodes(operator, invocation);
    for (const { id } of nodes) await operator.nodes.cordonNode({ nodeId: id, cordoned: true });
    const value = { deadline: BigInt(systemClock.now() + withinMs) };
    const kind = { case: "drain", value } as const;
    return commandAll(operator, { invocation, nodes, kind, withinMs: withinMs + STOP_WITHIN_MS });
  });
}

async function chosenNodes(operator: Operator, invocation: Invocation): Promise<readonly Node[]> {
  const labels = readLabels(listOption(invocation, "label"));
  const isByLabel = Object.keys(labels).length > 0;
  if (isByLabel === invocation.args.length > 0) {
    throw new Problem("usage.invalid", { detail: "Name nodes, or give --label." });
  }
  if (isByLabel) {
    const found = await allNodes(operator, { labels, state: NodeState.CONFIRMED });
    if (found.length === 0) throw new Problem("nodes.not_found", { detail: "No node has these labels." });
    return found;
  }
  const found = await Promise.all(invocation.args.map(async (node) => (await operator.nodes.getNode({ node })).node));
  return found.filter((node) => node !== undefined);
}

interface Batch {
  readonly invocation: Invocation;
  readonly nodes: readonly Node[];
  readonly kind: CommandKind;
  readonly ttlMs?: number;
  readonly withinMs: number;
}

/** One batch; 1 when a node did not do it. One node alone fails as what it says. */
async function commandAll(operator: Operator, { invocation, nodes, ...asked }: Batch): Promise<number> {
  const nodeIds = nodes.map(({ id }) => id);
  const { batchId, commands } = await sendToNodes(operator, nodeIds, asked);
  if (nodes.length === 1) requireDone(commands[0]);
  const names = new Map(nodes.map(({ id, name }) => [id, name]));
  const rows = commands
    .map(({ nodeId, state, message }) => ({ name: names.get(nodeId) ?? nodeId, state: nameOf(state), message }))
    .toSorted((a, b) => a.name.localeCompare(b.name));
  const totals: Record<string, number> = {};
  for (const { state } of rows) totals[state] = (totals[state] ?? 0) + 1;
  if (isSet(invocation, "json")) printJson({ batch_id: batchId, totals, nodes: rows });
  else {
    printTable(
      ["NODE", "STATE", "MESSAGE"],
      rows.map((row) => [row.name, row.state.replaceAll("_", " "), row.message]),
    );
    const counted = Object.entries(totals).map(([state, count]) => `${count} ${state.replaceAll("_", " ")}`);
    printLine(`${rows.length === 1 ? "1 node" : `${rows.length} nodes`}: ${counted.join(", ")}.`);
  }
  return rows.every(({ state }) => state === "ok") ? 0 : 1;
}

function nameOf(state: SentCommand_State): string {
  return SentCommand_State[state].toLowerCase();
}
