import { systemClock } from "@gatehouse/core";
import type { StoreLocation } from "../src/index.ts";
import { setOrg } from "../src/store/dialect.ts";
import { connectStore } from "../src/store/open-store.ts";
import type { Tables } from "../src/store/tables.ts";

/** Every row that an organisation has in a table, read beside the server. */
async function storedRows<T extends keyof Tables>(location: StoreLocation, orgId: string, table: T) {
  await using store = await connectStore(location, systemClock);
  return await store.shared.transaction().execute(async (tx) => {
    if (store.dialect.name === "postgres") await setOrg(orgId).execute(tx);
    return tx
      .selectFrom(table as "audit_entries")
      .selectAll()
      .where("org_id", "=", orgId)
      .execute();
  });
}

/** The kinds of an organisation's own audit entries, in order. */
export async function auditKinds(location: StoreLocation, orgId: string): Promise<readonly string[]> {
  return (await storedRows(location, orgId, "audit_entries")).map(({ kind }) => kind);
}
