import { Problem } from "@gatehouse/core";
import type { Selectable } from "kysely";
import type { Credential, CredentialRecords } from "../../credentials/credential-records.ts";
import { type RecordScope, stamps } from "../record-scope.ts";
import { brokenUniqueness } from "../store-failures.ts";
import type { Tables } from "../tables.ts";

type Row = Selectable<Tables["credentials"]>;

export function credentialRecords(scope: RecordScope): CredentialRecords {
  const { db, orgId, now } = scope;
  const all = () => db.selectFrom("credentials").selectAll().where("org_id", "=", orgId);
  const live = () => all().where("deleted_at", "is", null).orderBy("name");
  const nodesOf = () => db.selectFrom("credential_nodes").where("org_id", "=", orgId);
  const ofNode = (nodeId: string) => nodesOf().select("credential_id").where("node_id", "=", nodeId);
  const listOfNode = async (nodeId: string) => (await live().where("id", "in", ofNode(nodeId)).execute()).map(toRecord);
  const dropNodes = (column: "credential_id" | "node_id", id: string) =>
    db.deleteFrom("credential_nodes").where("org_id", "=", orgId).where(column, "=", id).execute();
  const change = (id: string, values: Partial<Row>) =>
    db
      .updateTable("credentials")
      .set({ ...values, updated_at: now() })
      .where("org_id", "=", orgId)
      .where("id", "=", id)
      .execute();
  return {
    listOfNode,
    list: async (page) => {
      const part = page && live().where("name", ">", page.after).limit(page.limit);
      return (await (part ?? live()).execute()).map(toRecord);
    },
    names: async () => {
      const rows = db.selectFrom("credentials").select(["id", "name"]).where("org_id", "=", orgId);
      return new Map((await rows.where("deleted_at", "is", null).execute()).map(({ id, name }) => [id, name]));
    },
    findByName: async (name) => (await live().where("name", "=", name).execute()).map(toRecord)[0],
    isKnown: async (id) => (await all().where("id", "=", id).execute()).length > 0,
    nodeIdsOf: async (id) => {
      const rows = await nodesOf().select("node_id").where("credential_id", "=", id).orderBy("node_id").execute();
      return rows.map(({ node_id }) => node_id);
    },
    put: async (credential, nodeIds) => {
      await upsert(scope, credential);
      await dropNodes("credential_id", credential.id);
      const rows = nodeIds.map((node_id) => ({ ...stamps(scope), credential_id: credential.id, node_id }));
      if (rows.length > 0) await db.insertInto("credential_nodes").values(rows).execute();
    },
    markRotationPending: async (nodeId) => {
      const concerned = await listOfNode(nodeId);
      for (const { id } of concerned) await change(id, { rotation_pending: 1 });
      await dropNodes("node_id", nodeId);
      return concerned;
    },
    remove: async (id) => {
      await dropNodes("credential_id", id);
      await change(id, { deleted_at: now(), jwe: "" });
    },
  };
}

async function upsert(scope: RecordScope, credential: Omit<Credential, "updatedAt">): Promise<void> {
  const { id, isRotationPending, ...own } = credential;
  const values = { ...own, rotation_pending: Number(isRotationPending) };
  try {
    await scope.db
      .insertInto("credentials")
      .values({ ...stamps(scope), ...values, id, deleted_at: null })
      .onConflict((on) => on.column("id").doUpdateSet({ ...values, updated_at: scope.now() }))
      .execute();
  } catch (failure) {
    throw brokenUniqueness(failure) === undefined ? failure : new Problem("credentials.conflict", { cause: failure });
  }
}

function toRecord(row: Row): Credential {
  const { id, name, version, kind, bindings, jwe, signer, signature } = row;
  const isRotationPending = row.rotation_pending === 1;
  return { id, name, version, kind, bindings, jwe, signer, signature, isRotationPending, updatedAt: row.updated_at };
}
