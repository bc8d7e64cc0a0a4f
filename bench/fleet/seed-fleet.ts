import { createHash, randomBytes, randomUUID } from "node:crypto";
import { DatabaseSync } from "node:sqlite";
import { makeSeedKey, type NodeSeed } from "./simulated-node.ts";

/**
 * Confirmed nodes, written into a stopped server's own database: enrolling thousands one by one would measure the
 * roster, which names every node in each of its versions. The keys are real.
 */
export function seedFleet(databasePath: string, orgId: string, count: number): readonly NodeSeed[] {
  const database = new DatabaseSync(databasePath);
  const seeds: NodeSeed[] = [];
  const now = Date.now();
  const node = database.prepare(
    `insert into nodes (id, org_id, created_at, updated_at, name, state, identity_key, encryption_key, ca_key, labels, epoch, generation) values (?, ?, ?, ?, ?, 'confirmed', ?, ?, ?, '{"fleet":"bench"}', 1, 1)`,
  );
  const key = database.prepare(
    "insert into api_keys (id, org_id, created_at, updated_at, node_id, label, prefix, sha256, expires_at) values (?, ?, ?, ?, ?, 'node', ?, ?, ?)",
  );
  const lookup = database.prepare("insert into lookups (kind, sha256, org_id) values ('api_key', ?, ?)");
  database.exec("begin");
  for (let index = 0; index < count; index += 1) {
    const { jwk, publicKey } = makeSeedKey();
    const nodeId = randomUUID();
    const prefix = `ghn_${randomBytes(4).toString("hex")}`;
    const apiKey = `${prefix}_${randomBytes(32).toString("base64url")}`;
    const sha256 = createHash("sha256").update(apiKey).digest();
    node.run(nodeId, orgId, now, now, `sim-${index}`, publicKey, randomBytes(32), randomBytes(91));
    key.run(randomUUID(), orgId, now, now, nodeId, prefix, sha256, now + 86_400_000);
    lookup.run(sha256, orgId);
    seeds.push({ nodeId, apiKey, jwk });
  }
  database.exec("commit");
  database.close();
  return seeds;
}
