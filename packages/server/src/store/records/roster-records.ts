import { base64url, fromBase64url, Problem, type RosterNode } from "@gatehouse/core";
import type { RosterRecords } from "../../orgs/roster-records.ts";
import { type RecordScope, stamps } from "../record-scope.ts";
import { brokenUniqueness } from "../store-failures.ts";

/** How the column spells a roster; bytes are base64url. */
interface Document {
  readonly nodes: readonly { readonly [K in keyof RosterNode]: string }[];
  readonly operatorKeys: readonly string[];
}

export function rosterRecords(scope: RecordScope): RosterRecords {
  const { db, orgId } = scope;
  return {
    newest: async () => {
      const all = db.selectFrom("rosters").selectAll().where("org_id", "=", orgId);
      const row = await all.orderBy("version", "desc").limit(1).executeTakeFirst();
      if (row === undefined) return undefined;
      const { version, issued_at: issuedAt, signer, signature } = row;
      return { orgId, version, issuedAt, ...parseDocument(row.document), signer, signature };
    },
    insert: async ({ version, issuedAt, nodes, operatorKeys, signer, signature }) => {
      const document: Document = {
        nodes: nodes.map(({ nodeId, identityKey, encryptionKey, caKey }) => ({
          nodeId,
          identityKey: base64url(identityKey),
          encryptionKey: base64url(encryptionKey),
          caKey: base64url(caKey),
        })),
        operatorKeys: operatorKeys.map(base64url),
      };
      const own = { version, issued_at: issuedAt, document: JSON.stringify(document), signer, signature };
      try {
        await db
          .insertInto("rosters")
          .values({ ...stamps(scope), ...own })
          .execute();
      } catch (failure) {
        throw brokenUniqueness(failure) === undefined ? failure : new Problem("roster.conflict", { cause: failure });
      }
    },
  };
}

function parseDocument(text: string) {
  const { nodes, operatorKeys } = JSON.parse(text) as Document;
  return {
    nodes: nodes.map(({ nodeId, identityKey, encryptionKey, caKey }) => ({
      nodeId,
      identityKey: bytes(identityKey),
      encryptionKey: bytes(encryptionKey),
      caKey: bytes(caKey),
    })),
    operatorKeys: operatorKeys.map(bytes),
  };
}

function bytes(text: string): Uint8Array {
  const read = fromBase64url(text);
  if (read === undefined) throw new Problem("state.corrupt", { detail: "A stored roster cannot be read." });
  return read;
}
