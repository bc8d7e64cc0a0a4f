import { formatCode, makeUuid, type OneTimeCode, Problem, type Random } from "@gatehouse/core";
import { orgPin, sha256 } from "@gatehouse/kit";
import type { AuditTrail } from "../audit/audit-trail.ts";
import type { NodeRecords } from "../nodes/node-records.ts";
import type { OrgRecords } from "../orgs/org-records.ts";
import type { EnrollmentRecords } from "./enrollment-records.ts";

export interface CreateCodeInput {
  readonly actor: string;
  /** The only name that may claim the code. */
  readonly name: string | undefined;
  readonly labels: Readonly<Record<string, string>>;
  readonly claimTtlMs: number;
  /** The node whose name and labels pass to the one that claims. */
  readonly replacesNodeId?: string;
}

export interface CreateCodeTransaction {
  readonly now: () => number;
  readonly audit: AuditTrail;
  readonly org: OrgRecords;
  readonly nodes: NodeRecords;
  readonly enrollments: EnrollmentRecords;
}

export interface CreateCodeDeps {
  readonly serverIdentityKey: Uint8Array;
  readonly random: Random;
}

export interface CreatedCode {
  readonly code: string;
  readonly enrollmentId: string;
  readonly expiresAt: number;
}

export const DEFAULT_CLAIM_TTL_MS = 900_000;
const SECRET_BYTES = 32;

/** Makes a one-time code that lets one host ask to become a node. It is shown once; its hash alone is stored. */
export async function createCode(
  tx: CreateCodeTransaction,
  input: CreateCodeInput,
  deps: CreateCodeDeps,
): Promise<CreatedCode> {
  const { actor, name, labels, claimTtlMs, replacesNodeId } = input;
  if (name !== undefined && replacesNodeId === undefined && (await tx.nodes.findByName(name)) !== undefined) {
    throw new Problem("enroll.name_taken");
  }
  const secret = deps.random.bytes(SECRET_BYTES);
  const { id: orgId, orgKey } = await tx.org.get();
  const code: OneTimeCode = { secret, pin: orgPin(deps.serverIdentityKey, orgId, orgKey) };
  const id = makeUuid(tx.now(), deps.random);
  const expiresAt = tx.now() + claimTtlMs;
  const ends = { claimExpiresAt: expiresAt, replacesNodeId };
  await tx.enrollments.insert({ id, codeSha256: sha256(secret), name, labels, ...ends });
  await tx.audit.append({ kind: "enrollment.code_created", actor, data: { enrollment: id, name: name ?? null } });
  return { code: formatCode("ghe", code), enrollmentId: id, expiresAt };
}

/** Makes a code that may claim the name of a node that was lost. The old node stays until the new one is confirmed. */
export async function createReplacementCode(
  tx: CreateCodeTransaction,
  input: { readonly actor: string; readonly nodeId: string; readonly claimTtlMs: number },
  deps: CreateCodeDeps,
): Promise<CreatedCode> {
  const node = await tx.nodes.find(input.nodeId);
  if (node === undefined || node.state !== "confirmed") throw new Problem("nodes.not_found");
  const { name, labels } = node;
  return createCode(tx, { ...input, name, labels, replacesNodeId: node.id }, deps);
}
