import type { PasswordHash } from "./passwords.ts";

/** Leave to choose a password once; of the secret in its link only the hash is there. */
export interface Invitation {
  readonly id: string;
  readonly memberId: string;
  readonly secretSha256: Uint8Array;
  readonly expiresAt: number;
}

/** Passwords of members, inside one transaction of their organisation. */
export interface PasswordRecords {
  find(memberId: string): Promise<PasswordHash | undefined>;
  put(memberId: string, hash: PasswordHash): Promise<void>;
  remove(memberId: string): Promise<void>;
  /** Members who have one. */
  memberIds(): Promise<ReadonlySet<string>>;
}

export interface InvitationRecords {
  insert(invitation: Invitation): Promise<void>;
  /** Those whose time is not up. */
  list(): Promise<readonly Invitation[]>;
  /** Of those whose time is not up. */
  findBySecret(secretSha256: Uint8Array): Promise<Invitation | undefined>;
  /** False when it is gone: of two that take it at once one has it. */
  take(id: string): Promise<boolean>;
  removeOfMember(memberId: string): Promise<void>;
  removeExpired(): Promise<void>;
  removeAll(): Promise<void>;
}
