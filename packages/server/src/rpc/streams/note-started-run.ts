import { fromBinary } from "@bufbuild/protobuf";
import { CommandPayloadSchema } from "@gatehouse/wire";
import type { StoredCommand } from "../../commands/command-records.ts";
import type { RunRecords } from "../../reports/run-records.ts";

export interface NoteTransaction {
  readonly now: () => number;
  readonly runs: RunRecords;
}

/** Knows a run from the moment at which its node says that it started; what the node reports later stands. */
export async function noteStartedRun(tx: NoteTransaction, command: StoredCommand): Promise<void> {
  if (command.kind !== "start_run" || command.state !== "ok") return;
  const { kind } = fromBinary(CommandPayloadSchema, command.payload);
  if (kind.case !== "startRun") return;
  const { runId, project, agent, driver, grants } = kind.value;
  const [known] = await tx.runs.find([runId]);
  if (known?.state === "starting" && known.nodeId === command.nodeId)
    return tx.runs.put([{ ...known, state: "running", reportedAt: tx.now() }]);
  if (known !== undefined) return;
  const own = { runId, nodeId: command.nodeId, state: "running", project, agent, driver, grants } as const;
  const times = { createdAt: tx.now(), endedAt: undefined, reportedAt: tx.now() };
  await tx.runs.put([{ ...own, ...times, isExposed: false, exitCode: 0 }]);
}
