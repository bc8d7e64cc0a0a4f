import { encodeEntry } from "@gatehouse/core";
import { sql } from "kysely";
import type { AuditTrail } from "../../audit/audit-trail.ts";
import type { RecordScope } from "../record-scope.ts";

/** The organisation's own log: its next entry, in the transaction of what it reports. */
export function auditTrail({ db, orgId, dialect, now }: RecordScope): AuditTrail {
  return {
    append: async ({ kind, actor, node = null, run = null, data = {} }) => {
      // Two replicas that write at once must not take the same number: the log's owner row is their queue.
      if (dialect.name === "postgres") await sql`select 1 from orgs where id = ${orgId} for update`.execute(db);
      const own = db.selectFrom("audit_entries").where("org_id", "=", orgId).where("log_id", "=", orgId);
      const last = await own.select("seq").orderBy("seq", "desc").limit(1).executeTakeFirst();
      const seq = (last?.seq ?? -1) + 1;
      const time = now();
      const entry = encodeEntry({ seq, time, org: orgId, node, run, agent: null, actor, kind, data });
      await db.insertInto("audit_entries").values({ org_id: orgId, log_id: orgId, seq, time, kind, entry }).execute();
    },
  };
}
