import { createPublicKey } from "node:crypto";
import { constantTimeEqual, enrollmentTuple, makeUuid, Problem, parseCode, type Random } from "@gatehouse/core";
import { isSealingKey, sha256, verifySignature } from "@gatehouse/kit";
import type { AuditTrail } from "../audit/audit-trail.ts";
import type { NodeRecords } from "../nodes/node-records.ts";
import type { OrgRecords } from "../orgs/org-records.ts";
import type { Enrollment, EnrollmentRecords } from "./enrollment-records.ts";

export interface RegisterInput {
  readonly enrollmentToken: string;
  readonly name: string;
  readonly identityKey: Uint8Array;
  readonly encryptionKey: Uint8Array;
  readonly caKey: Uint8Array;
  readonly proof: Uint8Array;
}

export interface Registered {
  readonly nodeId: string;
  readonly enrollmentId: string;
  readonly confirmExpiresAt: number;
}

interface RegisterTransaction {
  readonly orgId: string;
  readonly now: () => number;
  readonly audit: AuditTrail;
  readonly org: OrgRecords;
  readonly nodes: NodeRecords;
  readonly enrollments: EnrollmentRecords;
}

export interface RegisterDeps {
  readonly store: {
    findOrg(kind: "enrollment_code", sha256: Uint8Array): Promise<string | undefined>;
    inOrg<T>(orgId: string, work: (tx: RegisterTransaction) => Promise<T>): Promise<T>;
  };
  readonly serverIdentityKey: Uint8Array;
  /** Of the key set. */
  readonly epoch: number;
  readonly random: Random;
}

const CONFIRM_TTL_MS = 900_000;

/**
 * Claims a code for a host's keys: the node is there, pending, until somebody confirmed it. Every code that cannot be
 * used fails alike with `enroll.code_spent`; a name or key that is taken, or another name than the code's, leaves the
 * code as it was. The same claim again gets the same answer until the node's first handshake.
 */
export async function registerNode(input: RegisterInput, deps: RegisterDeps): Promise<Registered> {
  const codeSha256 = sha256(parseCode("ghe", input.enrollmentToken).secret);
  const orgId = await deps.store.findOrg("enrollment_code", codeSha256);
  if (orgId === undefined) throw new Problem("enroll.code_spent");
  return deps.store.inOrg(orgId, async (tx) => {
    const enrollment = await tx.enrollments.lockByCode(codeSha256);
    if (enrollment === undefined) throw new Problem("enroll.code_spent");
    const { orgKey } = await tx.org.get();
    const { serverIdentityKey } = deps;
    const tuple = enrollmentTuple({ ...input, serverIdentityKey, orgId, orgKey, codeSha256 });
    if (enrollment.state !== "pending") return repeat(enrollment, sha256(tuple), input.proof);
    if (enrollment.claimExpiresAt <= tx.now()) throw new Problem("enroll.code_spent");
    checkKeys(input, tuple);
    if (enrollment.name !== undefined && enrollment.name !== input.name) throw new Problem("enroll.name_differs");
    return claim(tx, { ...input, enrollment, tupleSha256: sha256(tuple) }, deps);
  });
}

/** The name under which a replacement waits: not one that anybody may choose, since its own is still in use. */
function waitingName(name: string, { id, replacesNodeId }: Enrollment): string {
  return replacesNodeId === undefined ? name : `${name}~${id}`;
}

interface Claim extends RegisterInput {
  readonly enrollment: Enrollment;
  readonly tupleSha256: Uint8Array;
}

async function claim(tx: RegisterTransaction, input: Claim, { random, epoch }: RegisterDeps): Promise<Registered> {
  const { enrollment, name, identityKey, encryptionKey, caKey, tupleSha256, proof } = input;
  const nodeId = makeUuid(tx.now(), random);
  const keys = { identityKey, encryptionKey, caKey };
  await tx.nodes.insert({ id: nodeId, name: waitingName(name, enrollment), ...keys, labels: enrollment.labels, epoch });
  const confirmExpiresAt = tx.now() + CONFIRM_TTL_MS;
  const claimed = { state: "awaiting_confirmation", nodeId, confirmExpiresAt, tupleSha256, proof } as const;
  await tx.enrollments.update(enrollment.id, claimed);
  const data = { enrollment: enrollment.id, name };
  await tx.audit.append({ kind: "node.registered", actor: `node:${name}`, node: nodeId, data });
  return { nodeId, enrollmentId: enrollment.id, confirmExpiresAt };
}

/** A claim whose answer was lost. */
function repeat(enrollment: Enrollment, tupleSha256: Uint8Array, proof: Uint8Array): Registered {
  const { id, state, nodeId, confirmExpiresAt, sealed } = enrollment;
  const isOpen = state === "awaiting_confirmation" || (state === "confirmed" && sealed !== undefined);
  const isSame =
    constantTimeEqual(enrollment.tupleSha256 ?? new Uint8Array(), tupleSha256) &&
    constantTimeEqual(enrollment.proof ?? new Uint8Array(), proof);
  if (!isOpen || !isSame || nodeId === undefined) throw new Problem("enroll.code_spent");
  return { nodeId, enrollmentId: id, confirmExpiresAt: confirmExpiresAt ?? 0 };
}

function checkKeys({ identityKey, encryptionKey, caKey, proof }: RegisterInput, tuple: Uint8Array): void {
  const isProven = verifySignature(identityKey, tuple, proof);
  if (!isProven || !isSealingKey(encryptionKey) || !isP256(caKey)) throw new Problem("enroll.bad_proof");
}

function isP256(spki: Uint8Array): boolean {
  try {
    const key = createPublicKey({ key: Buffer.from(spki), format: "der", type: "spki" });
    const own = key.export({ format: "der", type: "spki" });
    return key.asymmetricKeyDetails?.namedCurve === "prime256v1" && own.equals(spki);
  } catch {
    // Not DER, or a key of a kind that is not known.
    return false;
  }
}
