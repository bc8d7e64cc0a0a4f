import { Problem } from "@gatehouse/core";
import type { AuditTrail } from "../audit/audit-trail.ts";
import { type RaiseTransaction, raiseGeneration } from "../bundles/raise-generation.ts";
import type { RevocationRecords } from "../bundles/revocation-records.ts";
import type { CredentialRecords } from "./credential-records.ts";

export interface RevokeCredentialTransaction extends RaiseTransaction {
  readonly audit: AuditTrail;
  readonly credentials: CredentialRecords;
  readonly revocations: RevocationRecords;
}

/**
 * Takes a credential and its grant back: its ciphertext is forgotten here, and each node that could open it gets a
 * revocation with its next generation. Answers those nodes. Fails with `credentials.not_found`.
 */
export async function revokeCredential(
  tx: RevokeCredentialTransaction,
  { actor, name }: { readonly actor: string; readonly name: string },
): Promise<readonly string[]> {
  const credential = await tx.credentials.findByName(name);
  if (credential === undefined) throw new Problem("credentials.not_found");
  const { id } = credential;
  const raised = await raiseGeneration(tx, await tx.credentials.nodeIdsOf(id));
  await tx.revocations.addAll(raised, [id]);
  await tx.credentials.remove(id);
  await tx.audit.append({ kind: "credential.revoked", actor, data: { credential: id, name, nodes: raised.length } });
  return raised.map((node) => node.id);
}
