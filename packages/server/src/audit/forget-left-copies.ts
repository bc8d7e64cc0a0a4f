import { removeLeft, type StoreTransaction } from "./store-node-log.ts";

interface ForgetTransaction extends StoreTransaction {
  readonly now: () => number;
}

/** No stream stands so long between two transactions: its writer is gone. */
export const LEFT_AFTER_MS = 300_000;

/** Removes some of what writers that are gone left behind nodes' logs; whether there is more. */
export async function forgetLeftCopies(tx: ForgetTransaction): Promise<boolean> {
  await tx.auditLogs.lock();
  const [nodeId] = await tx.copies.listIdle(tx.now() - LEFT_AFTER_MS);
  if (nodeId === undefined) return false;
  // One that stood still, with its host, would go on behind entries that are gone.
  await tx.copies.abandon(nodeId);
  if (!(await removeLeft(tx, nodeId))) await tx.copies.end(nodeId);
  return true;
}
