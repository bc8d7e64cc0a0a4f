import { Problem } from "@gatehouse/core";
import type { Kysely } from "kysely";
import type { RecordScope } from "../record-scope.ts";
import type { Tables } from "../tables.ts";

/** A set-up code by the hash of its secret part; `undefined`: there is none. */
export async function findSetupCode(db: Kysely<Tables>, secretSha256: Uint8Array) {
  const all = db.selectFrom("setup_codes").select("org_id").where("secret_sha256", "=", secretSha256);
  const row = await all.executeTakeFirst();
  return row === undefined ? undefined : { orgId: row.org_id ?? undefined };
}

/** Whether any set-up code was ever made. */
export async function hasSetupCodes(db: Kysely<Tables>): Promise<boolean> {
  return (await db.selectFrom("setup_codes").select("created_at").limit(1).executeTakeFirst()) !== undefined;
}

export async function addSetupCode(db: Kysely<Tables>, secretSha256: Uint8Array, createdAt: number): Promise<void> {
  await db
    .insertInto("setup_codes")
    .values({ secret_sha256: secretSha256, created_at: createdAt, org_id: null })
    .execute();
}

/** Marks a code as the organisation's. Fails with `org.setup_code_spent` when it is another's, or none. */
export async function spendSetupCode({ db, orgId }: RecordScope, secretSha256: Uint8Array): Promise<void> {
  const one = db.updateTable("setup_codes").set({ org_id: orgId });
  const done = await one.where("secret_sha256", "=", secretSha256).where("org_id", "is", null).executeTakeFirst();
  if (done.numUpdatedRows !== 1n) throw new Problem("org.setup_code_spent");
}
