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

/** What is counted for a node now. Answers how it is put back: as in a copy of the database that lost what came later. */
export async function copyCounts(location: StoreLocation, orgId: string, nodeId: string): Promise<() => Promise<void>> {
  const rows = (await storedRows(location, orgId, "nodes")) as unknown as readonly Tables["nodes"][];
  const row = rows.find(({ id }) => id === nodeId);
  if (row === undefined) throw new Error(`there is no node ${nodeId}`);
  const { generation, command_seq, acknowledged_seq } = row;
  return async () => {
    await using store = await connectStore(location, systemClock);
    await store.shared.transaction().execute(async (tx) => {
      if (store.dialect.name === "postgres") await setOrg(orgId).execute(tx);
      const changed = tx.updateTable("nodes").set({ generation, command_seq, acknowledged_seq });
      await changed.where("org_id", "=", orgId).where("id", "=", nodeId).execute();
    });
  };
}
