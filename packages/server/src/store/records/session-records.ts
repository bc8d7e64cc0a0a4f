import type { Selectable } from "kysely";
import type { Session, SessionRecords } from "../../sessions/session-records.ts";
import { addLookup, type RecordScope, removeLookup, stamps } from "../record-scope.ts";
import type { Tables } from "../tables.ts";

export function sessionRecords(scope: RecordScope): SessionRecords {
  const { db, orgId } = scope;
  const all = () => db.selectFrom("sessions").selectAll().where("org_id", "=", orgId);
  const find = async (nodeId: string) => (await all().where("node_id", "=", nodeId).execute()).map(toSession)[0];
  const remove = async (nodeId: string) => {
    const old = await find(nodeId);
    if (old === undefined) return;
    for (const hash of hashesOf(old)) await removeLookup(scope, "session", hash);
    await db.deleteFrom("sessions").where("org_id", "=", orgId).where("node_id", "=", nodeId).execute();
  };
  return {
    find,
    remove,
    removeAll: async () => {
      for (const row of await all().execute()) await remove(row.node_id);
    },
    findByToken: async (hash) => {
      const rows = await all()
        .where((is) => is.or([is("token_sha256", "=", hash), is("previous_sha256", "=", hash)]))
        .execute();
      return rows.map(toSession)[0];
    },
    put: async (session) => {
      await remove(session.nodeId);
      await db
        .insertInto("sessions")
        .values({ ...stamps(scope), ...toRow(session) })
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
