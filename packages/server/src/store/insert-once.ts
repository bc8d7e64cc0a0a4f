import type { Kysely } from "kysely";
import type { Tables } from "./tables.ts";

/** Tables of what may happen once. They belong to no organisation. */
export type OnceTable = "spent_challenges" | "seen_proofs";

/** Inserts where nothing is yet; false when the same was there. */
export async function insertOnce(
  db: Kysely<Tables>,
  table: OnceTable,
  { hash, expiresAt }: { readonly hash: Uint8Array; readonly expiresAt: number },
): Promise<boolean> {
  const row = db.insertInto(table).values({ sha256: hash, expires_at: expiresAt });
  const done = await row.onConflict((on) => on.doNothing()).executeTakeFirst();
  return (done.numInsertedOrUpdatedRows ?? 0n) > 0n;
}
