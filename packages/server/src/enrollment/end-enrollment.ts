import { Problem } from "@gatehouse/core";
import type { AuditTrail } from "../audit/audit-trail.ts";
import type { NodeRecords } from "../nodes/node-records.ts";
import type { Enrollment, EnrollmentRecords } from "./enrollment-records.ts";

interface EndTransaction {
  readonly now: () => number;
  readonly audit: AuditTrail;
  readonly nodes: NodeRecords;
  readonly enrollments: EnrollmentRecords;
}

/** Ends a code that was not claimed, or an enrollment that was not confirmed. Fails with `enroll.not_waiting`. */
export async function cancelEnrollment(
  tx: EndTransaction,
  { id, actor }: { readonly id: string; readonly actor: string },
): Promise<void> {
  const enrollment = await tx.enrollments.lock(id);
  if (enrollment === undefined) throw new Problem("nodes.not_found");
  if (enrollment.state !== "pending" && enrollment.state !== "awaiting_confirmation") {
    throw new Problem("enroll.not_waiting");
  }
  await end(tx, enrollment, "cancelled");
  await tx.audit.append({ kind: "enrollment.cancelled", actor, data: { enrollment: id } });
}

/** Ends what nobody claimed or confirmed in time, and frees its name and keys. Answers which. */
export async function expireEnrollments(tx: EndTransaction): Promise<readonly string[]> {
  const late = (await tx.enrollments.listOpen()).filter((one) => endsAt(one) <= tx.now());
  for (const enrollment of late) {
    await end(tx, enrollment, "expired");
    await tx.audit.append({ kind: "enrollment.expired", actor: "server", data: { enrollment: enrollment.id } });
  }
  return late.map(({ id }) => id);
}

/** When the state that an open enrollment is in runs out. */
export function endsAt({ state, claimExpiresAt, confirmExpiresAt }: Enrollment): number {
  return state === "awaiting_confirmation" ? (confirmExpiresAt ?? 0) : claimExpiresAt;
}

async function end(tx: EndTransaction, enrollment: Enrollment, state: "cancelled" | "expired"): Promise<void> {
  await tx.enrollments.update(enrollment.id, { state });
  if (enrollment.nodeId !== undefined) await tx.nodes.update(enrollment.nodeId, { isDeleted: true });
}
