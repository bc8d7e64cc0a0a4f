import type { Role } from "../orgs/org-records.ts";
import type { Page } from "../page.ts";

/** A person as an identity provider knows them. */
export interface Identity {
  readonly issuer: string;
  readonly subject: string;
  readonly memberId: string;
}

/** A browser in which a member signed in; of its token only the hash is there. */
export interface MemberSession {
  readonly id: string;
  readonly memberId: string;
  readonly tokenSha256: Uint8Array;
  /** What the provider's word was worth at sign-in: the session may do no more, whatever the member may later. */
  readonly role: Role;
  readonly expiresAt: number;
  /** What the browser says it is: to be shown, never believed. */
  readonly browser: string;
  readonly address: string;
  readonly createdAt: number;
  readonly lastSeenAt: number;
}

/** A machine that asks to act for whoever approves it (RFC 8628). Of its codes only hashes are there. */
export interface DeviceGrant {
  readonly id: string;
  readonly deviceSha256: Uint8Array;
  readonly userCodeMac: Uint8Array;
  /** What the machine says it is called: to be shown, never believed. */
  readonly machine: string;
  readonly address: string;
  readonly createdAt: number;
  readonly expiresAt: number;
  readonly intervalMs: number;
  readonly polledAt: number | undefined;
  readonly decision: "pending" | "denied" | { readonly memberId: string; readonly role: Role };
}

/** People who signed in, inside one transaction of their organisation. */
export interface IdentityRecords {
  find(issuer: string, subject: string): Promise<Identity | undefined>;
  insert(identity: Identity): Promise<void>;
  listOfMember(memberId: string): Promise<readonly Identity[]>;
  /** Members who are somebody at a provider. */
  memberIds(): Promise<ReadonlySet<string>>;
  /** Ends what a provider's word is worth for a member. False: it was worth nothing. */
  removeOfMember(memberId: string, issuer: string): Promise<boolean>;
  /** Hands a new member the identities of whoever was last removed under this name and had any; answers them. */
  adopt(name: string, memberId: string): Promise<readonly Identity[]>;
}

export interface MemberSessionRecords {
  insert(session: Omit<MemberSession, "createdAt" | "lastSeenAt">): Promise<void>;
  /** Of one member, the newest first; those whose time is up are not among them. A page goes on with those before an id. */
  listOfMember(memberId: string, page?: Page): Promise<readonly MemberSession[]>;
  touch(id: string): Promise<void>;
  findByToken(tokenSha256: Uint8Array): Promise<MemberSession | undefined>;
  /** One by its id; it is not ended until the transaction ends. */
  hold(id: string): Promise<MemberSession | undefined>;
  remove(id: string): Promise<void>;
  /** All of a member's, but for the one that is kept. Answers their ids. */
  removeOfMember(memberId: string, keptId?: string): Promise<readonly string[]>;
  removeExpired(): Promise<void>;
  removeAll(): Promise<void>;
}

export interface DeviceGrantRecords {
  insert(grant: Omit<DeviceGrant, "createdAt" | "polledAt" | "decision">): Promise<void>;
  /** Where those that wait, or were decided and not fetched, were asked from. */
  addresses(): Promise<readonly string[]>;
  findByDevice(deviceSha256: Uint8Array): Promise<DeviceGrant | undefined>;
  findByUserCode(userCodeMac: Uint8Array): Promise<DeviceGrant | undefined>;
  polled(id: string, intervalMs: number): Promise<void>;
  /** False when somebody decided already. */
  decide(id: string, decision: DeviceGrant["decision"]): Promise<boolean>;
  /** False when it is gone: of two that take it at once one has it. */
  take(id: string): Promise<boolean>;
  /** Those that a member approved and no machine has fetched. */
  removeOfMember(memberId: string): Promise<void>;
  removeExpired(): Promise<void>;
  removeAll(): Promise<void>;
}
