import type { Transaction } from "kysely";
import type { BusMessage } from "../bus/bus.ts";
import type { StoreDialect } from "./dialect.ts";
import type { LookupKind, Tables } from "./tables.ts";

/** Where the records of one transaction live: one organisation, one moment. */
export interface RecordScope {
  readonly orgId: string;
  readonly db: Transaction<Tables>;
  readonly dialect: StoreDialect;
  /** Unix milliseconds. */
  readonly now: () => number;
  /** Published once the transaction is committed. */
  readonly announce: (message: BusMessage) => void;
}

/** The columns that every tenant's row begins with. */
export function stamps({ orgId, now }: RecordScope): { org_id: string; created_at: number; updated_at: number } {
  const at = now();
  return { org_id: orgId, created_at: at, updated_at: at };
}

/** Lets somebody who knows the secret find the organisation before it is known. */
export async function addLookup({ db, orgId }: RecordScope, kind: LookupKind, hash: Uint8Array): Promise<void> {
  await db.insertInto("lookups").values({ kind, sha256: hash, org_id: orgId }).execute();
}

/** The same where it may be there already; who was first stays. */
export async function keepLookup({ db, orgId }: RecordScope, kind: LookupKind, hash: Uint8Array): Promise<void> {
  const own = db.insertInto("lookups").values({ kind, sha256: hash, org_id: orgId });
  await own.onConflict((conflict) => conflict.doNothing()).execute();
}

/** Forgets what can no longer be looked up. */
export async function removeLookup({ db, orgId }: RecordScope, kind: LookupKind, hash: Uint8Array): Promise<void> {
  await db
    .deleteFrom("lookups")
    .where("kind", "=", kind)
    .where("sha256", "=", hash)
    .where("org_id", "=", orgId)
    .execute();
}
