import { Liveness, type Node, NodeHealth, NodeState } from "@gatehouse/wire";
import { type Invocation, isSet, listOption } from "../invocation.ts";
import { asOperator, type Operator } from "../operator/open-operator.ts";
import { printJson, printLine, printTable } from "../terminal/print.ts";
import { readLabels } from "../terminal/read-labels.ts";

/** Lists the nodes of the organisation. */
export async function listNodes(invocation: Invocation): Promise<number> {
  const labels = readLabels(listOption(invocation, "label"));
  const nodes = await asOperator(invocation.config.state.dir, (operator) => readAll(operator, labels));
  const rows = nodes.map(describeNode);
  if (isSet(invocation, "json")) printJson(rows);
  else if (rows.length === 0) printLine("No nodes. Make a code for a host: gatehouse nodes enroll-code --name NAME");
  else {
    const cells = rows.map((row) => [
      row.name,
      [row.state, ...oddities(row)].join(", "),
      row.liveness ?? "-",
      row.applied_generation === row.generation
        ? `${row.generation}`
        : `${row.applied_generation} of ${row.generation}`,
      row.last_seen ?? "never",
    ]);
    printTable(["NAME", "STATE", "LIVENESS", "GENERATION", "LAST SEEN"], cells);
  }
  return 0;
}

/** What a person should see at a glance. */
function oddities({ cordoned, quarantine, health, audit }: ReturnType<typeof describeNode>): readonly string[] {
  return [
    ...(cordoned ? ["cordoned"] : []),
    ...(quarantine === undefined ? [] : ["in quarantine"]),
    ...(health === "degraded" ? ["degraded"] : []),
    ...(audit === "ok" ? [] : [`audit log ${audit}`]),
  ];
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
  const { id, name, state, liveness, generation, lastSeenAt, labels, cordoned, health } = node;
  return {
    id,
    name,
    state: NodeState[state].toLowerCase(),
    liveness: liveness === Liveness.UNSPECIFIED ? null : Liveness[liveness].toLowerCase(),
    generation: Number(generation),
    last_seen: toTime(lastSeenAt),
    labels,
    cordoned,
    connected: node.isConnected,
    health: health === NodeHealth.UNSPECIFIED ? null : NodeHealth[health].toLowerCase(),
    applied_generation: Number(node.appliedGeneration),
    applied_at: toTime(node.appliedAt),
    runs: node.runCount,
    spool_bytes: Number(node.spoolDepth),
    audit: node.auditFault === "" ? "ok" : node.auditFault,
    ...(node.quarantineReason === "" ? {} : { quarantine: node.quarantineReason }),
  };
}

/** RFC 3339; null: never. */
function toTime(unixMs: bigint): string | null {
  return unixMs === 0n ? null : new Date(Number(unixMs)).toISOString();
}
