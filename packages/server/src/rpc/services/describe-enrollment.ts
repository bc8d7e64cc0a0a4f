import { Enrollment_State, EnrollmentState } from "@gatehouse/wire";
import { endsAt } from "../../enrollment/end-enrollment.ts";
import type { Enrollment, EnrollmentState as State } from "../../enrollment/enrollment-records.ts";

const FOR_NODES = {
  pending: EnrollmentState.PENDING,
  awaiting_confirmation: EnrollmentState.AWAITING_CONFIRMATION,
  confirmed: EnrollmentState.CONFIRMED,
  expired: EnrollmentState.EXPIRED,
  cancelled: EnrollmentState.CANCELLED,
} as const satisfies Readonly<Record<State, EnrollmentState>>;

const FOR_OPERATORS = {
  pending: Enrollment_State.PENDING,
  awaiting_confirmation: Enrollment_State.AWAITING_CONFIRMATION,
  confirmed: Enrollment_State.CONFIRMED,
  expired: Enrollment_State.EXPIRED,
  cancelled: Enrollment_State.CANCELLED,
} as const satisfies Readonly<Record<State, Enrollment_State>>;

export function toEnrollmentState(state: State): EnrollmentState {
  return FOR_NODES[state];
}

/** An enrollment as operators see it: never its code, nor a fingerprint. */
export function describeEnrollment(enrollment: Enrollment) {
  const { id, name, nodeId, createdAt, replacesNodeId, state } = enrollment;
  return {
    id,
    state: FOR_OPERATORS[state],
    name: name ?? "",
    nodeId: nodeId ?? "",
    createdAt: BigInt(createdAt),
    expiresAt: BigInt(endsAt(enrollment)),
    replacesNodeId: replacesNodeId ?? "",
  };
}
