import { type EndTransaction, endCommand } from "./end-command.ts";

/** Nodes forget a command this long after its time; nothing is heard of it then. */
const REMEMBERED_MS = 86_400_000;
/** What one turn ends; the next one goes on. */
const MAX_AT_ONCE = 500;

/** Ends what waited too long, and what was sent to a node that never answered. Answers the nodes concerned. */
export async function expireCommands(tx: EndTransaction): Promise<readonly string[]> {
  const waited = await tx.commands.listOverdue("queued", tx.now(), MAX_AT_ONCE);
  const unsent = waited.filter(({ seq }) => seq === undefined);
  for (const one of unsent) await endCommand(tx, one, { state: "expired", message: "", actor: "server" });
  const forgotten = [
    ...waited.filter(({ seq, notAfter }) => seq !== undefined && notAfter < tx.now() - REMEMBERED_MS),
    ...(await tx.commands.listOverdue("sent", tx.now() - REMEMBERED_MS, MAX_AT_ONCE)),
  ];
  const unknown = { state: "outcome_unknown", message: "The node never answered.", actor: "server" } as const;
  for (const one of forgotten) await endCommand(tx, one, unknown);
  return [...new Set([...unsent, ...forgotten].map(({ nodeId }) => nodeId))];
}
