import { awaitTuple, Problem } from "@gatehouse/core";
import { sha256, verifySignature } from "@gatehouse/kit";
import type { NodeRecords } from "../nodes/node-records.ts";
import type { Enrollment, EnrollmentRecords, EnrollmentState } from "./enrollment-records.ts";

export interface AwaitInput {
  readonly enrollmentId: string;
  readonly signedAt: number;
  readonly signature: Uint8Array;
}

interface AwaitTransaction {
  readonly now: () => number;
  readonly nodes: NodeRecords;
  readonly enrollments: EnrollmentRecords;
}

export interface AwaitDeps {
  readonly store: {
    findOrg(kind: "enrollment", sha256: Uint8Array): Promise<string | undefined>;
    inOrg<T>(orgId: string, work: (tx: AwaitTransaction) => Promise<T>): Promise<T>;
  };
  readonly origin: string;
  /** Settles when the enrollment may have changed, or the signal aborts. */
  readonly nextChange: (enrollmentId: string, signal: AbortSignal) => Promise<void>;
}

export interface AwaitedState {
  readonly state: EnrollmentState;
  readonly sealed: string | undefined;
}

const MAX_SKEW_MS = 120_000;
const WAITING: ReadonlySet<EnrollmentState> = new Set(["awaiting_confirmation"]);

/**
 * The state of an enrollment now and at each change, until it is decided or the signal aborts. Only the holder of the
 * identity key that claimed it may listen; everybody else fails alike with `auth.refused`.
 */
export async function* awaitConfirmation(
  input: AwaitInput,
  deps: AwaitDeps,
  signal: AbortSignal,
): AsyncGenerator<AwaitedState> {
  const orgId = await deps.store.findOrg("enrollment", sha256(input.enrollmentId));
  if (orgId === undefined) throw new Problem("auth.refused");
  await deps.store.inOrg(orgId, (tx) => checkCaller(tx, input, deps.origin));
  let said: EnrollmentState | undefined;
  while (!signal.aborted) {
    const changed = deps.nextChange(input.enrollmentId, signal);
    const { state, sealed } = await deps.store.inOrg(orgId, (tx) => read(tx, input.enrollmentId));
    if (state !== said) yield { state, sealed };
    said = state;
    if (!WAITING.has(state)) return;
    await changed;
  }
}

async function checkCaller(tx: AwaitTransaction, input: AwaitInput, origin: string): Promise<void> {
  const { nodeId, tupleSha256 } = await read(tx, input.enrollmentId);
  const node = nodeId === undefined ? undefined : await tx.nodes.find(nodeId);
  if (node === undefined || tupleSha256 === undefined) throw new Problem("auth.refused");
  const tuple = awaitTuple({ ...input, origin, tupleSha256 });
  const isTimely = Math.abs(tx.now() - input.signedAt) <= MAX_SKEW_MS;
  if (!isTimely || !verifySignature(node.identityKey, tuple, input.signature)) throw new Problem("auth.refused");
}

async function read(tx: AwaitTransaction, id: string): Promise<Enrollment> {
  const enrollment = await tx.enrollments.find(id);
  if (enrollment === undefined) throw new Problem("auth.refused");
  return enrollment;
}
