import { base64url, constantTimeEqual, isFingerprint, Problem, type Random, Secret } from "@gatehouse/core";
import { checkRoster, describeRoster, isJoin, type SignedRoster, sealTo } from "@gatehouse/kit";
import type { AuditTrail } from "../audit/audit-trail.ts";
import type { ServerKeys } from "../keys/server-keys.ts";
import type { Node, NodeRecords } from "../nodes/node-records.ts";
import { type RetireTransaction, retireNode } from "../nodes/retire-node.ts";
import { API_KEY_TTL_MS, issueApiKey } from "../orgs/api-key.ts";
import type { ApiKeyRecords, OrgRecords } from "../orgs/org-records.ts";
import type { RosterRecords } from "../orgs/roster-records.ts";
import type { Enrollment, EnrollmentRecords } from "./enrollment-records.ts";

export interface ConfirmInput {
  readonly actor: string;
  readonly nodeId: string;
  readonly enrollmentId: string;
  readonly fingerprint: string;
  /** The next version, with this node on it. */
  readonly roster: SignedRoster;
}

export interface ConfirmTransaction extends RetireTransaction {
  readonly orgId: string;
  readonly now: () => number;
  readonly audit: AuditTrail;
  readonly org: OrgRecords;
  readonly roster: RosterRecords;
  readonly apiKeys: ApiKeyRecords;
  readonly nodes: NodeRecords;
  readonly enrollments: EnrollmentRecords;
}

export interface ConfirmDeps {
  readonly keys: Pick<ServerKeys, "keySet" | "tlsCa" | "agentCa">;
  readonly random: Random;
}

export type Confirmation =
  | { readonly kind: "confirmed"; readonly node: Node; readonly replaced: string | undefined }
  /** The refusal is on record, so the transaction stands; the caller fails with `enroll.wrong_fingerprint`. */
  | { readonly kind: "wrong_fingerprint" };

/**
 * Confirms a node: the person compared, the roster names exactly the keys that the host proved, and the answer is
 * sealed to the host, all in one transaction. The same call again is OK. Fails with `enroll.not_waiting`,
 * `roster.conflict`, `roster.refused`, `roster.split`, `nodes.not_found`.
 */
export async function confirmNode(
  tx: ConfirmTransaction,
  input: ConfirmInput,
  deps: ConfirmDeps,
): Promise<Confirmation> {
  const node = await tx.nodes.lock(input.nodeId);
  const enrollment = await tx.enrollments.lock(input.enrollmentId);
  if (node === undefined || enrollment?.nodeId !== node.id) throw new Problem("nodes.not_found");
  const { tupleSha256 } = enrollment;
  if (tupleSha256 === undefined || !isFingerprint(input.fingerprint, tupleSha256)) {
    await refuse(tx, input);
    return { kind: "wrong_fingerprint" };
  }
  const placed = checkRoster(input.roster, await tx.roster.newest(), (await tx.org.get()).orgKey);
  requireOnRoster(node, input.roster);
  if (enrollment.state === "confirmed" && placed === "same") return { kind: "confirmed", node, replaced: undefined };
  const isOpen = enrollment.state === "awaiting_confirmation" && (enrollment.confirmExpiresAt ?? 0) > tx.now();
  if (!isOpen) throw new Problem("enroll.not_waiting");
  if (placed === "new") await tx.roster.insert(input.roster);
  const replaced = await takeOver(tx, input, { node, enrollment });
  await admit(tx, { ...input, node, enrollment, tupleSha256 }, deps);
  const confirmed = await tx.nodes.find(node.id);
  if (confirmed === undefined) throw new Problem("nodes.not_found");
  return { kind: "confirmed", node: confirmed, replaced };
}

interface Admission extends ConfirmInput {
  readonly node: Node;
  readonly enrollment: Enrollment;
  readonly tupleSha256: Uint8Array;
}

async function admit(tx: ConfirmTransaction, input: Admission, { keys, random }: ConfirmDeps): Promise<void> {
  const { node, enrollment, roster, actor } = input;
  const { text, stored } = issueApiKey("ghn", tx.now(), random);
  const expiresAt = tx.now() + API_KEY_TTL_MS;
  await tx.apiKeys.insert({
    ...stored,
    nodeId: node.id,
    memberId: undefined,
    label: "node",
    role: undefined,
    expiresAt,
  });
  const answer = {
    node_id: node.id,
    api_key: text,
    key_set: keys.keySet,
    roster: describeRoster(roster),
    ca_chain: [keys.tlsCa.certificatePem, keys.agentCa.certificatePem],
  };
  const sealed = await sealTo(node.encryptionKey, new Secret(JSON.stringify(answer)), input.tupleSha256);
  await tx.enrollments.update(enrollment.id, { state: "confirmed", sealed });
  await tx.nodes.update(node.id, { state: "confirmed", generation: 1 });
  const data = { enrollment: enrollment.id, roster: roster.version, identity: base64url(node.identityKey) };
  await tx.audit.append({ kind: "node.confirmed", actor, node: node.id, data });
}

/** Gives a replacement the name of the node that it replaces, which ends. */
async function takeOver(
  tx: ConfirmTransaction,
  { actor }: ConfirmInput,
  { node, enrollment }: { readonly node: Node; readonly enrollment: Enrollment },
): Promise<string | undefined> {
  const { replacesNodeId, name } = enrollment;
  if (replacesNodeId === undefined || name === undefined) return undefined;
  await retireNode(tx, { nodeId: replacesNodeId, actor, reason: "replaced" });
  await tx.nodes.update(node.id, { name });
  return replacesNodeId;
}

function requireOnRoster(node: Node, roster: SignedRoster): void {
  // Whoever is left off a join ends with it, which is not what was asked for here.
  if (isJoin(roster)) throw new Problem("roster.refused", { detail: "It joins two." });
  const listed = roster.nodes.find(({ nodeId }) => nodeId === node.id);
  const isSame =
    listed !== undefined &&
    constantTimeEqual(listed.identityKey, node.identityKey) &&
    constantTimeEqual(listed.encryptionKey, node.encryptionKey) &&
    constantTimeEqual(listed.caKey, node.caKey);
  if (!isSame) throw new Problem("roster.refused", { detail: "It does not hold the keys that this node proved." });
}

async function refuse(tx: ConfirmTransaction, { actor, nodeId, enrollmentId }: ConfirmInput): Promise<void> {
  const data = { enrollment: enrollmentId };
  await tx.audit.append({ kind: "node.confirm_refused", actor, node: nodeId, data });
}
