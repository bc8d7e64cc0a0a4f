import type { Selectable } from "kysely";
import type { Session, SessionRecords } from "../../sessions/session-records.ts";
import { isAmong } from "../is-among.ts";
import { addLookup, type RecordScope, removeLookup, stamps } from "../record-scope.ts";
import type { Tables } from "../tables.ts";

export function sessionRecords(scope: RecordScope): SessionRecords {
  const { db, orgId } = scope;
  const all = () => db.selectFrom("sessions").selectAll().where("org_id", "=", orgId);
  const find = async (nodeId: string) => (await all().where("node_id", "=", nodeId).execute()).map(toSession)[0];
  const forget = async (session: Session | undefined) => {
    if (session === undefined) return;
    for (const hash of hashesOf(session)) await removeLookup(scope, "session", hash);
  };
  const remove = async (nodeId: string) => {
    await forget(await find(nodeId));
    await db.deleteFrom("sessions").where("org_id", "=", orgId).where("node_id", "=", nodeId).execute();
  };
  const findBy = async (column: "token_sha256" | "previous_sha256", hash: Uint8Array) =>
    (await all().where(column, "=", hash).execute()).map(toSession)[0];
  return {
    find,
    findAll: async (nodeIds) =>
      (
        await all()
          .where(isAmong(scope, "node_id", nodeIds))
          .execute()
      ).map(toSession),
    remove,
    removeAll: async () => {
      for (const row of await all().execute()) await remove(row.node_id);
    },
    // One question for both would read every session on SQLite.
    findByToken: async (hash) => (await findBy("token_sha256", hash)) ?? findBy("previous_sha256", hash),
    replace: async (before, session) => {
      await forget(before);
      const row = toRow(session);
      await db
        .insertInto("sessions")
        .values({ ...stamps(scope), ...row })
        .onConflict((on) => on.columns(["node_id", "org_id"]).doUpdateSet({ ...row, ...stamps(scope) }))
        .execute();
      for (const hash of hashesOf(session)) await addLookup(scope, "session", hash);
    },
  };
}

function hashesOf({ tokenSha256, previous }: Session): readonly Uint8Array[] {
  return previous === undefined ? [tokenSha256] : [tokenSha256, previous.tokenSha256];
}

function toRow({ nodeId, apiKeyId, fence, tokenSha256, expiresAt, previous }: Session) {
  return {
    node_id: nodeId,
    api_key_id: apiKeyId,
    fence,
    token_sha256: tokenSha256,
    expires_at: expiresAt,
    previous_sha256: previous?.tokenSha256 ?? null,
    previous_until: previous?.until ?? null,
  };
}

function toSession(row: Selectable<Tables["sessions"]>): Session {
  const { previous_sha256: hash, previous_until: until } = row;
  return {
    nodeId: row.node_id,
    apiKeyId: row.api_key_id,
    fence: row.fence,
    tokenSha256: row.token_sha256,
    expiresAt: row.expires_at,
    previous: hash === null || until === null ? undefined : { tokenSha256: hash, until },
  };
}
