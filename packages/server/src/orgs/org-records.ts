import type { Page } from "../page.ts";

/** One tenant. */
export interface Org {
  readonly id: string;
  readonly name: string;
  /** Ed25519. */
  readonly orgKey: Uint8Array;
  /** X25519. */
  readonly orgEncryptionKey: Uint8Array;
  /** SHA-256 of what its org key signed when it was made. */
  readonly createdBySha256: Uint8Array;
}

export type Role = "viewer" | "operator" | "admin" | "owner";

export interface Member {
  readonly id: string;
  readonly name: string;
  readonly role: Role;
  readonly createdAt: number;
}

/** A key of exactly one member or node; of the secret only the hash is there. */
export interface ApiKey {
  readonly id: string;
  readonly memberId: string | undefined;
  readonly nodeId: string | undefined;
  readonly label: string;
  readonly prefix: string;
  readonly sha256: Uint8Array;
  /** A member's key may do less than the member. */
  readonly role: Role | undefined;
  readonly createdAt: number;
  readonly expiresAt: number;
  readonly lastUsedAt: number | undefined;
  readonly revokedAt: number | undefined;
}

/** An organisation, its members and keys, inside one transaction. */
export interface OrgRecords {
  insert(org: Org): Promise<void>;
  get(): Promise<Org>;
}

export interface MemberRecords {
  insert(member: Omit<Member, "createdAt">): Promise<void>;
  list(page?: Page): Promise<readonly Member[]>;
  /** As `list`; nobody else changes a member until the transaction ends. */
  listForUpdate(): Promise<readonly Member[]>;
  /** As `find`; nobody removes them or changes what they may do until the transaction ends. */
  hold(id: string): Promise<Member | undefined>;
  /** As `find`; whoever locks or holds them meanwhile waits until the transaction ends. */
  lock(id: string): Promise<Member | undefined>;
  find(id: string): Promise<Member | undefined>;
  findByName(name: string): Promise<Member | undefined>;
  setRole(id: string, role: Role): Promise<void>;
  remove(id: string): Promise<void>;
}

export interface ApiKeyRecords {
  insert(key: Omit<ApiKey, "createdAt" | "lastUsedAt" | "revokedAt">): Promise<void>;
  findByHash(sha256: Uint8Array): Promise<ApiKey | undefined>;
  find(id: string): Promise<ApiKey | undefined>;
  /** As `find`; it is not revoked until the transaction ends. */
  hold(id: string): Promise<ApiKey | undefined>;
  listOfMembers(page?: Page): Promise<readonly ApiKey[]>;
  listOfNode(nodeId: string): Promise<readonly ApiKey[]>;
  /** How many of a member's keys are good. */
  countOfMember(memberId: string): Promise<number>;
  touch(id: string): Promise<void>;
  revoke(id: string): Promise<boolean>;
  /** All that a member has, however many they made. */
  revokeOfMember(memberId: string): Promise<void>;
  /** Ends a node's keys in time: they still pass Begin, and Complete delivers a fresh one. */
  expireOfNode(nodeId: string): Promise<void>;
}
