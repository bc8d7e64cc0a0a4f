import { sql } from "kysely";
import type { Store } from "../src/store/store.ts";

/** Until so many transactions wait for others. At once on SQLite: what is asked there during a transaction waits for it. */
export async function waitsForLock({ shared, dialect }: Store, many = 1): Promise<void> {
  while (dialect.name === "postgres") {
    const { rows } = await sql`select 1 from pg_locks where not granted`.execute(shared);
    if (rows.length >= many) return;
  }
}
