import type { Page } from "../page.ts";
export type EnrollmentState = "pending" | "awaiting_confirmation" | "confirmed" | "expired" | "cancelled";

/** One enrollment code and what became of it. */
export interface Enrollment {
  readonly id: string;
  readonly state: EnrollmentState;
  /** Of the code's 32 secret bytes. */
  readonly codeSha256: Uint8Array;
  /** The only name that may claim it. */
  readonly name: string | undefined;
  readonly labels: Readonly<Record<string, string>>;
  readonly createdAt: number;
  readonly claimExpiresAt: number;
  readonly confirmExpiresAt: number | undefined;
  readonly nodeId: string | undefined;
  readonly replacesNodeId: string | undefined;
  /** Of the tuple that the host proved. */
  readonly tupleSha256: Uint8Array | undefined;
  readonly proof: Uint8Array | undefined;
  /** The sealed answer, from confirmation until the first handshake. */
  readonly sealed: string | undefined;
}

export interface EnrollmentChange {
  readonly state?: EnrollmentState;
  readonly confirmExpiresAt?: number;
  readonly nodeId?: string;
  readonly tupleSha256?: Uint8Array;
  readonly proof?: Uint8Array;
  readonly sealed?: string | null;
}

/** Enrollments of the organisation inside one transaction. */
export interface EnrollmentRecords {
  insert(
    enrollment: Pick<Enrollment, "id" | "codeSha256" | "name" | "labels" | "claimExpiresAt" | "replacesNodeId">,
  ): Promise<void>;
  find(id: string): Promise<Enrollment | undefined>;
  /** The same, locked until the transaction ends. */
  lockByCode(codeSha256: Uint8Array): Promise<Enrollment | undefined>;
  lock(id: string): Promise<Enrollment | undefined>;
  findByNode(nodeId: string): Promise<Enrollment | undefined>;
  /** Those that wait for a claim or a confirmation. */
  listOpen(page?: Page): Promise<readonly Enrollment[]>;
  update(id: string, change: EnrollmentChange): Promise<void>;
}
