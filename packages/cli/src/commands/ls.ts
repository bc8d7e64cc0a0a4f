import { requestUnixOk } from "@gatehouse/kit";
import { type Invocation, isSet, textOption } from "../invocation.ts";
import { allNodes, allRuns } from "../operator/all-pages.ts";
import { looksAtFleet } from "../operator/fleet-runs.ts";
import { asOperator, type Operator } from "../operator/open-operator.ts";
import { printJson, printLine, printTable, shown } from "../terminal/print.ts";

interface ListedRun {
  readonly run_id: string;
  readonly state: string;
  readonly driver: string;
  readonly exposed: boolean;
  readonly agent?: string;
  readonly project?: string;
  readonly command: readonly string[];
  readonly grants: readonly string[];
  readonly created_at: string;
  readonly code?: number;
}

interface RegisteredRun {
  readonly run_id: string;
  readonly container_id?: string;
  readonly registered_at: string;
  readonly external: boolean;
}

/** One that an outside tool registered: where it runs, and what, is that tool's own. */
interface ExternalRun {
  readonly run_id: string;
  readonly container_id?: string;
  readonly created_at: string;
  readonly external: true;
}

const COMMAND_WIDTH = 60;

/** Lists the runs of this node, newest first. */
export async function ls(invocation: Invocation): Promise<number> {
  const { dir } = invocation.config.state;
  if (textOption(invocation, "node") !== undefined || (await looksAtFleet(dir))) {
    return asOperator(dir, (operator) => listFleetRuns(operator, invocation));
  }
  const { socketPath } = invocation;
  const [own, external] = await Promise.all([
    requestUnixOk({ socketPath, path: "/v1/sandboxes" }) as Promise<readonly ListedRun[]>,
    listExternal(socketPath),
  ]);
  const runs = [...own, ...external].sort((a, b) => b.created_at.localeCompare(a.created_at));
  if (isSet(invocation, "json")) printJson(runs);
  else if (runs.length === 0) printLine("No runs.");
  else printTable(["RUN", "STATE", "AGENT", "DRIVER", "GRANTS", "SINCE", "COMMAND"], runs.map(rowOf));
  return 0;
}

/** The runs of the organisation's nodes, or of one, as they reported them. */
async function listFleetRuns(operator: Operator, invocation: Invocation): Promise<number> {
  const asked = textOption(invocation, "node");
  const nodeId = asked === undefined ? "" : ((await operator.nodes.getNode({ node: asked })).node?.id ?? "");
  const names = new Map((await allNodes(operator)).map(({ id, name }) => [id, name]));
  const rows = (await allRuns(operator, nodeId)).map((run) => ({
    run_id: run.runId,
    node: names.get(run.nodeId) ?? run.nodeId,
    state: run.state,
    agent: run.agent,
    project: run.project,
    driver: run.driver,
    exposed: run.exposed,
    grants: run.grants,
    created_at: new Date(Number(run.createdAt)).toISOString(),
    reported_at: new Date(Number(run.reportedAt)).toISOString(),
    ...(run.state === "exited" ? { code: run.exitCode } : {}),
  }));
  if (isSet(invocation, "json")) printJson(rows);
  else if (rows.length === 0) printLine("No runs.");
  else
    printTable(
      ["RUN", "NODE", "STATE", "AGENT", "DRIVER", "GRANTS", "SINCE", "REPORTED"],
      rows.map((row) => [row.run_id, row.node, ...rowOf({ ...row, command: [] }).slice(1, -1), row.reported_at]),
    );
  return 0;
}

async function listExternal(socketPath: string): Promise<readonly ExternalRun[]> {
  const runs = (await requestUnixOk({ socketPath, path: "/v1/runs" })) as readonly RegisteredRun[];
  return runs.flatMap(({ registered_at: created_at, external, ...run }) =>
    external ? [{ ...run, created_at, external }] : [],
  );
}

function rowOf(run: ListedRun | ExternalRun): readonly string[] {
  const since = run.created_at.slice(0, 19).replace("T", " ");
  if ("external" in run) {
    const container = run.container_id === undefined ? "-" : `container ${shown(run.container_id)}`;
    return [run.run_id, "registered", "-", "external", "-", since, shortened(container)];
  }
  return [
    run.run_id,
    run.code === undefined ? run.state : `${run.state} (${run.code})`,
    [run.project, run.agent].filter(Boolean).join("."),
    run.exposed ? `${run.driver}, exposed` : run.driver,
    run.grants.join(",") || "-",
    since,
    shortened(shown(run.command.join(" "))),
  ];
}

/** A text that was cut says so. */
function shortened(text: string): string {
  return text.length <= COMMAND_WIDTH ? text : `${text.slice(0, COMMAND_WIDTH - 1)}…`;
}
