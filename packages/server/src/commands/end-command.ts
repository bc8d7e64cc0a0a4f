import { canonicalJson } from "@gatehouse/core";
import type { AuditTrail } from "../audit/audit-trail.ts";
import type { EventRecords } from "../reports/event-records.ts";
import type {
  CommandEnd,
  CommandRecords,
  ListedCommand,
  StoredCommand,
  Withdrawal,
  WithdrawalReason,
  WithdrawnCommands,
} from "./command-records.ts";

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

/** What is said of a command that was taken back. */
const WHY: Readonly<Record<WithdrawalReason, string>> = {
  cancelled: "It was cancelled.",
  key_revoked: "The key that gave it was revoked.",
  session_ended: "The session that gave it was ended.",
  member_removed: "Who gave it may command no more.",
  role_changed: "Who gave it may command no more.",
  node_gone: "The node is gone.",
  taken_back: "It was taken back before the server was put back.",
};

/** As many entries are written at once. */
const CHUNK = 500;

/** Takes commands back that have no end yet, each on record: they are not sent any more. Answers them. */
export async function withdrawCommands(
  tx: EndTransaction,
  which: WithdrawnCommands,
  { by, why }: Withdrawal,
): Promise<readonly ListedCommand[]> {
  const withdrawn = await tx.commands.withdraw(which, { by, why, message: WHY[why] });
  const kind = "command.withdrawn";
  const entries = withdrawn.map(({ id, nodeId, kind: what, state }) => {
    return { nodeId, data: { command: id, kind: what, state, why } };
  });
  for (let from = 0; from < entries.length; from += CHUNK) {
    const part = entries.slice(from, from + CHUNK);
    await tx.audit.appendAll(part.map(({ nodeId, data }) => ({ kind, actor: by, node: nodeId, data })));
    await tx.events.append(part.map(({ nodeId, data }) => ({ kind, nodeId, data: canonicalJson(data) })));
  }
  return withdrawn;
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
