import { requestUnixOk } from "@gatehouse/kit";
import { type Invocation, isSet } from "../invocation.ts";
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

const COMMAND_WIDTH = 60;

/** Lists the runs of this node, newest first. */
export async function ls(invocation: Invocation): Promise<number> {
  const runs = (await requestUnixOk({
    socketPath: invocation.socketPath,
    path: "/v1/sandboxes",
  })) as readonly ListedRun[];
  if (isSet(invocation, "json")) printJson(runs);
  else if (runs.length === 0) printLine("No runs.");
  else printTable(["RUN", "STATE", "AGENT", "DRIVER", "GRANTS", "SINCE", "COMMAND"], runs.map(rowOf));
  return 0;
}

function rowOf(run: ListedRun): readonly string[] {
  return [
    run.run_id,
    run.code === undefined ? run.state : `${run.state} (${run.code})`,
    [run.project, run.agent].filter(Boolean).join("."),
    run.exposed ? `${run.driver}, exposed` : run.driver,
    run.grants.join(",") || "-",
    run.created_at.slice(0, 19).replace("T", " "),
    shortened(shown(run.command.join(" "))),
  ];
}

/** A text that was cut says so. */
function shortened(text: string): string {
  return text.length <= COMMAND_WIDTH ? text : `${text.slice(0, COMMAND_WIDTH - 1)}…`;
}
