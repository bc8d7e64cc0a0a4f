import type { Page } from "../page.ts";
/** One version of a policy. */
export interface PolicyVersion {
  readonly version: number;
  /** RFC 8785 JSON of a network policy. */
  readonly document: string;
  /** Who made it. */
  readonly actor: string;
  readonly updatedAt: number;
}

/** What no run of the nodes that it holds may do otherwise. */
export interface Policy extends PolicyVersion {
  readonly id: string;
  readonly name: string;
  /** It holds nodes that have all of them; none: every node. */
  readonly labels: Readonly<Record<string, string>>;
}

/** The policies of the organisation inside one transaction. */
export interface PolicyRecords {
  list(page?: Page): Promise<readonly Policy[]>;
  find(name: string): Promise<Policy | undefined>;
  /** Stores a version in place of the one before, and beside it; whom the policy holds stays. */
  put(policy: Pick<Policy, "id" | "name" | "document" | "version" | "actor">): Promise<void>;
  setLabels(name: string, labels: Readonly<Record<string, string>>): Promise<void>;
  /** False when there was none. Its versions stay. */
  remove(name: string): Promise<boolean>;
  /** The newest first; also of a policy that was deleted. A page goes on with those before a number. */
  versions(name: string, page?: Page): Promise<readonly PolicyVersion[]>;
  /** Forgets versions that are older than this one. */
  removeVersionsBefore(name: string, version: number): Promise<void>;
}
