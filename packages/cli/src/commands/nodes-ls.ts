import { Liveness, type Node, NodeState } from "@gatehouse/wire";
import { type Invocation, isSet, listOption } from "../invocation.ts";
import { asOperator, type Operator } from "../operator/open-operator.ts";
import { printJson, printTable } from "../terminal/print.ts";
import { readLabels } from "../terminal/read-labels.ts";

/** Lists the nodes of the organisation. */
export async function listNodes(invocation: Invocation): Promise<number> {
  const labels = readLabels(listOption(invocation, "label"));
  const nodes = await asOperator(invocation.config.state.dir, (operator) => readAll(operator, labels));
  const rows = nodes.map(describeNode);
  if (isSet(invocation, "json")) printJson(rows);
  else {
    const cells = rows.map(({ name, state, liveness, generation, last_seen, cordoned }) => [
      name,
      cordoned ? `${state}, cordoned` : state,
      liveness ?? "-",
      String(generation),
      last_seen ?? "never",
    ]);
    printTable(["NAME", "STATE", "LIVENESS", "GENERATION", "LAST SEEN"], cells);
  }
  return 0;
}

async function readAll({ nodes }: Operator, labels: Record<string, string>): Promise<readonly Node[]> {
  const found: Node[] = [];
  let pageToken = "";
  do {
    const page = await nodes.listNodes({ labels, pageToken, pageSize: 2_500 });
    found.push(...page.nodes);
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  return found;
}

/** A node as scripts read it. */
export function describeNode(node: Node) {
  const { id, name, state, liveness, generation, lastSeenAt, labels, cordoned } = node;
  return {
    id,
    name,
    state: NodeState[state].toLowerCase(),
    liveness: liveness === Liveness.UNSPECIFIED ? null : Liveness[liveness].toLowerCase(),
    generation: Number(generation),
    last_seen: lastSeenAt === 0n ? null : new Date(Number(lastSeenAt)).toISOString(),
    labels,
    cordoned,
    connected: node.isConnected,
    ...(node.quarantineReason === "" ? {} : { quarantine: node.quarantineReason }),
  };
}
