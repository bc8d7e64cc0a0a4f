import { createHash, randomBytes, randomUUID } from "node:crypto";
import { DatabaseSync } from "node:sqlite";
import { base64url, type Roster, rosterTuple } from "@gatehouse/core";
import { describeRoster, rosterPart, type SigningKey, sha256 } from "@gatehouse/kit";
import { makeSeedKey, type NodeSeed } from "./simulated-node.ts";

/** A credential on every node, to be revoked. Nobody opens it. */
export const SEEDED_CREDENTIAL = "bench";
/** The organisation's first roster names nobody. */
const ROSTER_VERSION = 2;

interface SeededOrg {
  readonly orgId: string;
  readonly orgKey: SigningKey;
}

export interface SeededFleet {
  readonly seeds: readonly NodeSeed[];
  readonly roster: Roster;
  /** Of the part that holds it in bundles: nodes that have been there have it. base64url. */
  readonly rosterSha256: string;
}

/**
 * Confirmed nodes on a signed roster, written into a stopped server's own database: enrolling thousands one by one would
 * measure the roster, which names every node in each of its versions. The keys are real.
 */
export function seedFleet(databasePath: string, org: SeededOrg, count: number): SeededFleet {
  const database = new DatabaseSync(databasePath);
  database.exec("begin");
  const fleet = insertNodes(database, org.orgId, count);
  const made = { orgId: org.orgId, version: ROSTER_VERSION, issuedAt: Date.now(), operatorKeys: [] };
  const roster = { ...made, nodes: fleet.map(({ listed }) => listed) };
  const rosterSha256 = insertRoster(database, roster, org.orgKey);
  insertCredential(database, org.orgId);
  database.exec("commit");
  database.close();
  return { seeds: fleet.map(({ seed }) => seed), roster, rosterSha256 };
}

function insertNodes(database: DatabaseSync, orgId: string, count: number) {
  const now = Date.now();
  const node = database.prepare(
    `insert into nodes (id, org_id, created_at, updated_at, name, state, identity_key, encryption_key, ca_key, labels, epoch, generation) values (?, ?, ?, ?, ?, 'confirmed', ?, ?, ?, '{"fleet":"bench"}', 1, 1)`,
  );
  const key = database.prepare(
    "insert into api_keys (id, org_id, created_at, updated_at, node_id, label, prefix, sha256, expires_at) values (?, ?, ?, ?, ?, 'node', ?, ?, ?)",
  );
  const lookup = database.prepare("insert into lookups (kind, sha256, org_id) values ('api_key', ?, ?)");
  return Array.from({ length: count }, (_, index) => {
    const { jwk, publicKey: identityKey } = makeSeedKey();
    const nodeId = randomUUID();
    const prefix = `ghn_${randomBytes(4).toString("hex")}`;
    const apiKey = `${prefix}_${randomBytes(32).toString("base64url")}`;
    const hash = createHash("sha256").update(apiKey).digest();
    const [encryptionKey, caKey] = [new Uint8Array(randomBytes(32)), new Uint8Array(randomBytes(91))];
    node.run(nodeId, orgId, now, now, `sim-${index}`, identityKey, encryptionKey, caKey);
    key.run(randomUUID(), orgId, now, now, nodeId, prefix, hash, now + 86_400_000);
    lookup.run(hash, orgId);
    return { seed: { nodeId, apiKey, jwk }, listed: { nodeId, identityKey, encryptionKey, caKey } };
  });
}

function insertRoster(database: DatabaseSync, roster: Roster, orgKey: SigningKey): string {
  const { orgId, version, issuedAt } = roster;
  const [signer, signature] = [orgKey.publicKey, orgKey.sign(rosterTuple(roster))];
  const document = describeRoster({ ...roster, signer, signature });
  const own = [orgId, issuedAt, issuedAt, version, issuedAt, JSON.stringify(document), signer, signature] as const;
  const columns = "org_id, created_at, updated_at, version, issued_at, document, signer, signature";
  database.prepare(`insert into rosters (${columns}) values (?, ?, ?, ?, ?, ?, ?, ?)`).run(...own);
  return base64url(sha256(rosterPart(document).content));
}

function insertCredential(database: DatabaseSync, orgId: string): void {
  const now = Date.now();
  const id = randomUUID();
  const columns = "id, org_id, created_at, updated_at, name, version, kind, bindings, jwe, signer, signature";
  const values = [id, orgId, now, now, SEEDED_CREDENTIAL, "[]", '{"recipients":[]}', randomBytes(32), randomBytes(64)];
  database
    .prepare(`insert into credentials (${columns}) values (?, ?, ?, ?, ?, 1, 'header', ?, ?, ?, ?)`)
    .run(...values);
  database
    .prepare(
      "insert into credential_nodes (org_id, created_at, updated_at, credential_id, node_id) select org_id, ?, ?, ?, id from nodes where org_id = ?",
    )
    .run(now, now, id, orgId);
}
