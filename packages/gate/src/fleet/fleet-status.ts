import type { ProblemCode } from "@gatehouse/core";
import type { KeySetDocument, RosterDocument, SignedBundle } from "@gatehouse/kit";

/** What the key-holder serves of an organisation. */
export interface FleetStatus {
  /** The bundle that is served; absent before the first. */
  readonly bundle: SignedBundle | undefined;
  readonly keySet: KeySetDocument | undefined;
  readonly roster: RosterDocument | undefined;
  /** Why the stored bundle is not served after a restart. */
  readonly fault: string | undefined;
  readonly grants: readonly string[];
  /** Credentials of that bundle which are not served. */
  readonly refused: readonly RefusedStatus[];
  /** Grants that are not served because the node has its own of that name. */
  readonly hidden: readonly string[];
  /** Seconds since boot until which the organisation's credentials are used; 0: not now. */
  readonly freshUntilSeconds: number;
}

/** Why a credential of the organisation is not served on this node. */
export interface RefusedStatus {
  readonly id: string;
  /** `null`: it says none that could be one. */
  readonly name: string | null;
  readonly code: ProblemCode;
  readonly reason: string;
}
