import { canonicalJson } from "@gatehouse/core";
import type { AuditTrail } from "../audit/audit-trail.ts";
import type { BusMessage } from "../bus/bus.ts";
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
  readonly orgId: string;
  readonly now: () => number;
  readonly announce: (message: BusMessage) => void;
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

/** A command, and the end that it gets. */
export interface EndedCommand {
  readonly command: StoredCommand;
  readonly end: CommandResult;
}

/** How a run that is to start on a cordoned node ends, before it is sent. */
export function cordonedEnd({ name }: { readonly name: string }) {
  const message = `${name} is cordoned: it admits no new run (gatehouse nodes uncordon ${name}).`;
  return { state: "forbidden", message } as const;
}

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
  const entries = withdrawn.map(({ id, nodeId, kind, state }) => {
    return { kind: "command.withdrawn", actor: by, nodeId, data: { command: id, kind, state, why } };
  });
  await report(tx, entries);
  return withdrawn;
}

/** Gives commands that the transaction holds their ends, each on record. */
export async function endCommands(tx: EndTransaction, ended: readonly EndedCommand[]): Promise<void> {
  await tx.commands.endAll(
    ended.map(({ command: { id }, end: { state, message, result = null } }) => ({ id, state, message, result })),
  );
  const entries = ended.map(({ command: { id, nodeId, kind: what }, end: { state, actor } }) => {
    const kind = REFUSALS.has(state) ? "command.refused" : "command.finished";
    return { kind, actor, nodeId, data: { command: id, kind: what, state } };
  });
  await report(tx, entries);
}

interface Entry {
  readonly kind: string;
  readonly actor: string;
  readonly nodeId: string;
  readonly data: Readonly<Record<string, string>>;
}

/**
 * After every row is written: what holds the organisation's log waits for no command any more. Wakes whoever waits for
 * these ends, and the streams of the nodes, which have places again.
 */
async function report(tx: EndTransaction, entries: readonly Entry[]): Promise<void> {
  for (let from = 0; from < entries.length; from += CHUNK) {
    const part = entries.slice(from, from + CHUNK);
    await tx.audit.appendAll(part.map(({ kind, actor, nodeId, data }) => ({ kind, actor, node: nodeId, data })));
    await tx.events.append(part.map(({ kind, nodeId, data }) => ({ kind, nodeId, data: canonicalJson(data) })));
  }
  const { orgId } = tx;
  for (const nodeId of new Set(entries.map((one) => one.nodeId))) tx.announce({ kind: "commands", orgId, nodeId });
  if (entries.length > 0) tx.announce({ kind: "events", orgId });
}
