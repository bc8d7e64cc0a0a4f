import { Problem } from "@gatehouse/core";
import { describeRoster, readRosterDocument } from "@gatehouse/kit";
import type { RosterRecords } from "../../orgs/roster-records.ts";
import { type RecordScope, stamps } from "../record-scope.ts";
import { brokenUniqueness } from "../store-failures.ts";

/** Versions that are kept: each holds the whole fleet, and only the newest counts. */
const KEPT_VERSIONS = 8;

export function rosterRecords(scope: RecordScope): RosterRecords {
  const { db, orgId } = scope;
  return {
    newest: async () => {
      const all = db.selectFrom("rosters").select("document").where("org_id", "=", orgId);
      const row = await all.orderBy("version", "desc").limit(1).executeTakeFirst();
      return row === undefined ? undefined : readRosterDocument(JSON.parse(row.document));
    },
    newestHead: async () => {
      // What stands before the document: SQLite reads all of it for what stands behind.
      const all = db.selectFrom("rosters").select(["version", "issued_at"]).where("org_id", "=", orgId);
      const row = await all.orderBy("version", "desc").limit(1).executeTakeFirst();
      return row && { version: row.version, issuedAt: row.issued_at };
    },
    insert: async (roster) => {
      const { version, issuedAt, signer, signature } = roster;
      const document = JSON.stringify(describeRoster(roster));
      try {
        await db
          .insertInto("rosters")
          .values({ ...stamps(scope), version, issued_at: issuedAt, document, signer, signature })
          .execute();
      } catch (failure) {
        throw brokenUniqueness(failure) === undefined ? failure : new Problem("roster.conflict", { cause: failure });
      }
      const old = db.deleteFrom("rosters").where("org_id", "=", orgId);
      await old.where("version", "<=", version - KEPT_VERSIONS).execute();
    },
  };
}
