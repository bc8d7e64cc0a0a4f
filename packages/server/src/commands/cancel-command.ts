import { Problem } from "@gatehouse/core";
import type { StoredCommand } from "./command-records.ts";
import { type EndTransaction, withdrawCommands } from "./end-command.ts";

/**
 * Takes back a command that was not sent. Fails with `commands.not_found`, `commands.sent` when the node may have it,
 * and `commands.ended`.
 */
export async function cancelCommand(
  tx: EndTransaction,
  { commandId, actor }: { readonly commandId: string; readonly actor: string },
): Promise<StoredCommand> {
  const cancelled = await withdrawCommands(tx, { commandId }, { by: actor, why: "cancelled" });
  const command = await tx.commands.find(commandId);
  if (command === undefined) throw new Problem("commands.not_found");
  if (cancelled.length > 0) return command;
  throw new Problem(command.finishedAt === undefined ? "commands.sent" : "commands.ended");
}
