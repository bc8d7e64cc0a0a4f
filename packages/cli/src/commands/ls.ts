import { Problem } from "@gatehouse/core";
import { readDaemonLock, requestUnixOk } from "@gatehouse/kit";
import { type Invocation, isSet, textOption } from "../invocation.ts";
import { isOperators } from "../operator/is-operators.ts";
import { listReportedRuns, type ReportedRun } from "../operator/list-runs.ts";
import { asOperator } from "../operator/open-operator.ts";
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

/** A run of this machine as it stands beside those of nodes. */
const OWN_NODE = "local";

/**
 * Lists runs, newest first. On an operator's machine those of the organisation's nodes and its own beside them, whether
 * a daemon runs here or not; elsewhere those of this machine.
 */
export async function ls(invocation: Invocation): Promise<number> {
  const node = textOption(invocation, "node");
  const isLocal = isSet(invocation, "local");
  if (isLocal && node !== undefined)
    throw new Problem("usage.invalid", { detail: "Give --local or --node, not both." });
  if (node !== undefined || (isOperators(invocation) && !isLocal)) return listFleet(invocation, node);
  const runs = await listOwn(invocation);
  if (isSet(invocation, "json")) printJson(runs);
  else if (runs.length === 0) printLine("No runs.");
  else printTable(["RUN", "STATE", "AGENT", "DRIVER", "GRANTS", "SINCE", "COMMAND"], runs.map(rowOf));
  return 0;
}

async function listOwn({ socketPath }: Invocation): Promise<readonly (ListedRun | ExternalRun)[]> {
  const [own, external] = await Promise.all([
    requestUnixOk({ socketPath, path: "/v1/sandboxes" }) as Promise<readonly ListedRun[]>,
    listExternal(socketPath),
  ]);
  return [...own, ...external].sort(byAge);
}

/** What is here is shown while the server is away, and its failure is the command's. */
async function listFleet(invocation: Invocation, node: string | undefined): Promise<number> {
  const { dir } = invocation.config.state;
  const isHere = node === undefined && (await readDaemonLock(dir)) !== undefined;
  const [there, here] = await Promise.allSettled([
    asOperator(dir, (operator) => listReportedRuns(operator, node)),
    isHere ? listOwn(invocation) : [],
  ]);
  if (here.status === "rejected") throw here.reason;
  const reported = there.status === "fulfilled" ? there.value : [];
  const nodeOf = new Map(reported.map((run) => [run.run_id, run.node]));
  const own = here.value.map((run) => ({ ...run, node: nodeOf.get(run.run_id) ?? OWN_NODE }));
  const ownIds = new Set(own.map(({ run_id }) => run_id));
  const rows = [...own, ...reported.filter(({ run_id }) => !ownIds.has(run_id))].sort(byAge);
  if (isSet(invocation, "json")) {
    // Half a list would be taken for the whole.
    if (there.status === "fulfilled") printJson(rows);
  } else if (rows.length > 0) printTable(FLEET_HEAD, rows.map(fleetRowOf));
  if (there.status === "rejected") throw there.reason;
  if (rows.length === 0 && !isSet(invocation, "json")) printLine("No runs.");
  return 0;
}

const FLEET_HEAD = ["RUN", "NODE", "STATE", "AGENT", "DRIVER", "GRANTS", "SINCE", "REPORTED"];

function fleetRowOf(run: (ReportedRun | ListedRun | ExternalRun) & { readonly node: string }): readonly string[] {
  const [id = "", ...cells] = rowOf("external" in run ? run : { command: [], ...run }).slice(0, -1);
  return [id, run.node, ...cells, "reported_at" in run ? run.reported_at : "-"];
}

function byAge(a: { readonly created_at: string }, b: { readonly created_at: string }): number {
  return b.created_at.localeCompare(a.created_at);
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
    // The project of an empty workspace is the run itself.
    [run.project === run.run_id ? undefined : run.project, run.agent].filter(Boolean).join("."),
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
