import { canonicalJson } from "@gatehouse/core";
import type { AuditTrail } from "../audit/audit-trail.ts";
import type { EventRecords } from "../reports/event-records.ts";
import type { CommandEnd, CommandRecords, StoredCommand } from "./command-records.ts";

export interface EndTransaction {
  readonly now: () => number;
  readonly audit: AuditTrail;
  readonly events: Pick<EventRecords, "append">;
  readonly commands: CommandRecords;
}

export interface CommandResult {
  readonly state: CommandEnd;
  readonly message: string;
  readonly result?: Uint8Array;
  /** Whose word it is. */
  readonly actor: string;
}

/** How a run that is to start on a cordoned node ends, before it is sent. */
export const CORDONED = {
  state: "forbidden",
  message: "The node is cordoned: it admits no new run (gatehouse nodes uncordon).",
} as const;

/** Ends of commands that did nothing. */
const REFUSALS: ReadonlySet<CommandEnd> = new Set(["bad_request", "incapable", "busy", "forbidden", "expired"]);

/** Ends commands that are not sent any more; what was sent once may have been done. */
export async function withdrawCommands(
  tx: EndTransaction,
  commands: readonly StoredCommand[],
  message: string,
): Promise<void> {
  for (const command of commands) {
    const state = command.seq === undefined ? "forbidden" : "outcome_unknown";
    await endCommand(tx, command, { state, message, actor: "server" });
  }
}

/** Gives a command its end, on record; there is no other after it. */
export async function endCommand(tx: EndTransaction, command: StoredCommand, end: CommandResult): Promise<void> {
  const { state, message, result = null, actor } = end;
  await tx.commands.update(command.id, { state, message, result, finishedAt: tx.now() });
  const kind = REFUSALS.has(state) ? "command.refused" : "command.finished";
  const data = { command: command.id, kind: command.kind, state };
  await tx.audit.append({ kind, actor, node: command.nodeId, data });
  await tx.events.append([{ kind, nodeId: command.nodeId, data: canonicalJson(data) }]);
}
