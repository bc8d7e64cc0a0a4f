import { systemClock } from "@gatehouse/core";
import type { StoreLocation } from "../src/index.ts";
import { setOrg } from "../src/store/dialect.ts";
import { connectStore } from "../src/store/open-store.ts";
import type { Tables } from "../src/store/tables.ts";

/** Every row that an organisation has in a table, read beside the server. */
export async function storedRows(location: StoreLocation, orgId: string, table: keyof Tables) {
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

/** An organisation's own audit entries, in order. */
export async function auditEntries(location: StoreLocation, orgId: string) {
  const rows = await storedRows(location, orgId, "audit_entries");
  const entries = rows.map(
    ({ entry }) => JSON.parse(entry) as { seq: number; kind: string; actor: string; data: object },
  );
  return entries.sort((a, b) => a.seq - b.seq);
}

/** The kinds of those entries. */
export async function auditKinds(location: StoreLocation, orgId: string): Promise<readonly string[]> {
  return (await auditEntries(location, orgId)).map(({ kind }) => kind);
}
