import { Liveness, type Node, NodeHealth, NodeState } from "@gatehouse/wire";
import { type Invocation, isSet, listOption, textOption } from "../invocation.ts";
import { allNodes } from "../operator/all-pages.ts";
import { asOperator } from "../operator/open-operator.ts";
import { printJson, printLine, printTable } from "../terminal/print.ts";
import { readLabels, sayLabels } from "../terminal/read-labels.ts";

/** Lists the nodes of the organisation. */
export async function listNodes(invocation: Invocation): Promise<number> {
  const filter = readFilter(invocation);
  const nodes = await asOperator(invocation.config.state.dir, (operator) => allNodes(operator, filter));
  const rows = nodes.map(describeNode);
  if (isSet(invocation, "json")) printJson(rows);
  else if (rows.length === 0) printLine("No nodes. Make a code for a host: gatehouse nodes enroll-code --name NAME");
  else {
    const cells = rows.map((row) => [
      row.name,
      [row.state, ...oddities(row)].join(", "),
      wordOf(row),
      row.applied_generation === row.generation
        ? `${row.generation}`
        : `${row.applied_generation} of ${row.generation}`,
      row.last_seen ?? "never",
      sayLabels(row.labels, "-"),
    ]);
    printTable(["NAME", "STATE", "LIVENESS", "GENERATION", "LAST SEEN", "LABELS"], cells);
  }
  return 0;
}

/** One that left is online by its last heartbeat for a while. */
function wordOf({ liveness, connected }: ReturnType<typeof describeNode>): string {
  return liveness === "online" && !connected ? "not connected" : (liveness ?? "-");
}

/** What a person should see at a glance. */
function oddities({
  cordoned,
  quarantine,
  health,
  audit,
  ...node
}: ReturnType<typeof describeNode>): readonly string[] {
  const refused = node.credentials_refused?.length ?? 0;
  return [
    ...(cordoned ? ["cordoned"] : []),
    ...(quarantine === undefined ? [] : ["in quarantine"]),
    ...(health === "degraded" ? ["degraded"] : []),
    ...(refused === 0 ? [] : [`${refused} credential${refused === 1 ? "" : "s"} refused`]),
    ...(audit === "ok" ? [] : [`audit log ${audit}`]),
  ];
}

function readFilter(invocation: Invocation) {
  const state = textOption(invocation, "state");
  return {
    labels: readLabels(listOption(invocation, "label")),
    nameContains: textOption(invocation, "name") ?? "",
    state: state === undefined ? NodeState.UNSPECIFIED : STATES[state as keyof typeof STATES],
  };
}

/** By the name that `--state` takes. */
const STATES = { pending: NodeState.PENDING, confirmed: NodeState.CONFIRMED } as const;

/** A node as scripts read it. */
export function describeNode(node: Node) {
  const { id, name, state, liveness, generation, lastSeenAt, labels, cordoned, health } = node;
  const refused = node.refusedCredentials.map(({ id: credential, name: claimed, problemCode }) => {
    return { id: credential, name: claimed === "" ? null : claimed, code: problemCode };
  });
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
    ...(refused.length === 0 ? {} : { credentials_refused: refused }),
  };
}

/** RFC 3339; null: never. */
function toTime(unixMs: bigint): string | null {
  return unixMs === 0n ? null : new Date(Number(unixMs)).toISOString();
}
