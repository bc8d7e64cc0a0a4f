import { MerkleFrontier, type SignedHead } from "@gatehouse/core";
import { sha256 } from "@gatehouse/kit";
import type { Selectable } from "kysely";
import type { AuditLogRecords, SignedLog } from "../../audit/audit-log-records.ts";
import { insertRows } from "../insert-rows.ts";
import { lockOrg } from "../lock-org.ts";
import { type RecordScope, stamps } from "../record-scope.ts";
import type { Tables } from "../tables.ts";

const HASH_BYTES = 32;

export function auditLogRecords(scope: RecordScope): AuditLogRecords {
  const { db, orgId } = scope;
  const entries = (logId: string) =>
    db.selectFrom("audit_entries").where("org_id", "=", orgId).where("log_id", "=", logId);
  const heads = (logId: string) =>
    db.selectFrom("audit_heads").selectAll().where("org_id", "=", orgId).where("log_id", "=", logId);
  const sizeOf = async (logId: string) => {
    const last = await entries(logId).select("seq").orderBy("seq", "desc").limit(1).executeTakeFirst();
    return (last?.seq ?? -1) + 1;
  };
  return {
    lock: () => lockOrg(scope),
    find: async (logId) => {
      const one = db.selectFrom("audit_logs").selectAll().where("org_id", "=", orgId).where("log_id", "=", logId);
      return (await one.execute()).map(toLog)[0];
    },
    size: sizeOf,
    entries: async (logId, { from, to }, limit) => {
      const some = entries(logId).select(["seq", "entry"]).where("seq", ">=", from).where("seq", "<", to);
      const rows = await some.orderBy("seq").limit(limit).execute();
      return rows.map(({ seq, entry }) => ({ seq, text: entry }));
    },
    heads: async (logId, after, limit) =>
      (await heads(logId).where("size", ">", after).orderBy("size").limit(limit).execute()).map(toHead),
    head: async (logId, size) => (await heads(logId).where("size", "=", size).execute()).map(toHead)[0],
    newestHead: async (logId, upTo = Number.MAX_SAFE_INTEGER) => {
      const all = heads(logId).where("size", "<=", upTo).orderBy("size", "desc");
      return (await all.limit(1).execute()).map(toHead)[0];
    },
    peaks: async (logId, size) => {
      const peaks = (await heads(logId).where("size", "=", size).executeTakeFirst())?.peaks;
      return peaks ? toHashes(peaks) : undefined;
    },
    insertEntries: (logId, added) =>
      insertRows(scope, ENTRY_COLUMNS, {
        shared: [orgId, logId],
        rows: added.map(({ seq, time, kind, text }) => [seq, time, kind, text]),
      }),
    insertHead: async (logId, { size, root, time, keyId, signature }, kept) => {
      const peaks = kept === undefined ? null : Buffer.concat(kept);
      const row = { org_id: orgId, log_id: logId, size, root, time, key_id: keyId, signature, peaks };
      await db.insertInto("audit_heads").values(row).execute();
    },
    save: async (logId, { signedAs, key, tree, forkedAt }) => {
      const state = { size: tree.size, peaks: Buffer.concat(tree.peaks), forked_at: forkedAt ?? null };
      const row = { ...stamps(scope), log_id: logId, signed_as: signedAs, key, ...state };
      await db
        .insertInto("audit_logs")
        .values(row)
        .onConflict((on) => on.columns(["org_id", "log_id"]).doUpdateSet({ ...state, updated_at: row.updated_at }))
        .execute();
    },
    removeBehind: async (logId, size, limit) => {
      const from = (await sizeOf(logId)) - limit;
      const own = db.deleteFrom("audit_entries").where("org_id", "=", orgId).where("log_id", "=", logId);
      await own.where("seq", ">=", Math.max(size, from)).execute();
      return from > size;
    },
  };
}

const ENTRY_COLUMNS = {
  table: "audit_entries",
  shared: { org_id: "text", log_id: "text" },
  own: { seq: "integer", time: "integer", kind: "text", entry: "text" },
} as const;

function toLog({ signed_as, key, size, peaks, forked_at }: Selectable<Tables["audit_logs"]>): SignedLog {
  const tree = new MerkleFrontier(sha256, { size, peaks: toHashes(peaks) });
  return { signedAs: signed_as, key: new Uint8Array(key), tree, forkedAt: forked_at ?? undefined };
}

function toHashes(peaks: Uint8Array): readonly Uint8Array[] {
  return Array.from(
    { length: peaks.length / HASH_BYTES },
    (_, at) => new Uint8Array(peaks.subarray(at * HASH_BYTES, (at + 1) * HASH_BYTES)),
  );
}

function toHead({ size, root, time, key_id, signature }: Selectable<Tables["audit_heads"]>): SignedHead {
  return { size, root: new Uint8Array(root), time, keyId: key_id, signature: new Uint8Array(signature) };
}
