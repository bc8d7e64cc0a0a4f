import { type EndTransaction, endCommands } from "./end-command.ts";

/** Nodes forget a command this long after its time; nothing is heard of it then. */
const REMEMBERED_MS = 86_400_000;
/** What one turn ends; the next one goes on. */
const MAX_AT_ONCE = 500;

const WAITED = { state: "expired", message: "", actor: "server" } as const;
const FORGOTTEN = { state: "outcome_unknown", message: "The node never answered.", actor: "server" } as const;

/** Ends what waited too long, and what was sent to a node that never answered. */
export async function expireCommands(tx: EndTransaction): Promise<void> {
  const before = { unsent: tx.now(), sent: tx.now() - REMEMBERED_MS };
  const overdue = await tx.commands.holdOverdue(before, MAX_AT_ONCE);
  await endCommands(
    tx,
    overdue.map((command) => ({ command, end: command.seq === undefined ? WAITED : FORGOTTEN })),
  );
}
