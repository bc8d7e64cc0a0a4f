import { constantTimeEqual, Problem } from "@gatehouse/core";
import { isSealedBy, readBindings, recipientsOf, type SignedRoster } from "@gatehouse/kit";
import type { AuditTrail } from "../audit/audit-trail.ts";
import { type RaiseTransaction, raiseGeneration } from "../bundles/raise-generation.ts";
import type { OrgRecords } from "../orgs/org-records.ts";
import type { RosterRecords } from "../orgs/roster-records.ts";
import type { Credential, CredentialRecords } from "./credential-records.ts";

export interface PutCredentialTransaction extends RaiseTransaction {
  readonly orgId: string;
  readonly audit: AuditTrail;
  readonly org: OrgRecords;
  readonly roster: RosterRecords;
  readonly credentials: CredentialRecords;
}

export interface PutCredentialInput {
  readonly actor: string;
  readonly credential: Omit<Credential, "isRotationPending" | "updatedAt">;
  readonly nodeIds: readonly string[];
}

/**
 * Stores the next version of a sealed credential when an operator key of the roster or the org key signed it, and it is
 * sealed to exactly the roster keys of its nodes and the organisation's own. The server cannot see what is inside. The
 * same version with the same signature is the same value, whatever nodes it is for. Answers the nodes whose state
 * changed. Fails with `credentials.refused`, `credentials.conflict`, `grants.exists`, `nodes.not_found`.
 */
export async function putCredential(
  tx: PutCredentialTransaction,
  { actor, credential, nodeIds }: PutCredentialInput,
): Promise<readonly string[]> {
  const { id, name, version, signature } = credential;
  // Two next versions at once: the second must meet the first.
  await tx.nodes.lockDesired();
  const before = await tx.credentials.findByName(name);
  const isSameValue = before?.id === id && before.version === version && constantTimeEqual(before.signature, signature);
  if (isSameValue && before.jwe === credential.jwe) return [];
  if (before !== undefined && before.id !== id) throw new Problem("grants.exists");
  if (before === undefined && (await tx.credentials.isKnown(id))) throw new Problem("credentials.conflict");
  if (!isSameValue && version !== (before?.version ?? 0) + 1) throw new Problem("credentials.conflict");
  await requireVouched(tx, credential, nodeIds);
  const isRotationPending = isSameValue && before.isRotationPending;
  const concerned = [...nodeIds, ...(before === undefined ? [] : await tx.credentials.nodeIdsOf(id))];
  const raised = await raiseGeneration(tx, concerned);
  await tx.credentials.put({ ...credential, isRotationPending }, nodeIds);
  const data = { credential: id, name, version, nodes: nodeIds.length };
  await tx.audit.append({ kind: "credential.sealed", actor, data });
  return raised.map((node) => node.id);
}

async function requireVouched(
  tx: PutCredentialTransaction,
  credential: PutCredentialInput["credential"],
  nodeIds: readonly string[],
): Promise<void> {
  const { orgKey, orgEncryptionKey } = await tx.org.get();
  const roster = await tx.roster.newest();
  const { id: credentialId, signer } = credential;
  const isKnown = [orgKey, ...(roster?.operatorKeys ?? [])].some((key) => constantTimeEqual(key, signer));
  const bindings = readBindings(credential.bindings);
  const bound = { ...credential, orgId: tx.orgId, credentialId, bindings, endpoints: [] };
  if (!isKnown || !isSealedBy(bound, credential)) throw new Problem("credentials.refused");
  const wanted = [...(await keysOf(tx, roster, nodeIds)), orgEncryptionKey].map(asText).sort();
  const sealed = recipientsOf(credential.jwe).map(asText).sort();
  if (wanted.join() !== sealed.join()) {
    throw new Problem("credentials.refused", { detail: "It is not sealed to exactly its nodes and the organisation." });
  }
}

async function keysOf(
  tx: PutCredentialTransaction,
  roster: SignedRoster | undefined,
  nodeIds: readonly string[],
): Promise<readonly Uint8Array[]> {
  const keys: Uint8Array[] = [];
  const known = new Map(roster?.nodes.map((node) => [node.nodeId, node]));
  for (const nodeId of new Set(nodeIds)) {
    const listed = known.get(nodeId);
    if (listed === undefined || (await tx.nodes.find(nodeId)) === undefined) throw new Problem("nodes.not_found");
    keys.push(listed.encryptionKey);
  }
  return keys;
}

function asText(key: Uint8Array): string {
  return Buffer.from(key).toString("hex");
}
