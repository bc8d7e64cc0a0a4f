import type { Clock, Random } from "@gatehouse/core";
import type { Log } from "@gatehouse/kit";
import type { CheckMessage } from "@gatehouse/wire";
import type { OrgContinuity } from "./audit/org-continuity.ts";
import type { RosterParts } from "./bundles/roster-parts.ts";
import type { Bus } from "./bus/bus.ts";
import type { ServerKeys } from "./keys/server-keys.ts";
import type { NodeBudgets } from "./limits/node-budget.ts";
import type { NodeStreams } from "./rpc/streams/node-streams.ts";
import type { StreamWork } from "./rpc/streams/stream-work.ts";
import type { Store } from "./store/store.ts";

/** What the adapters of one server share. Features take the part that they name themselves. */
export interface ServerContext {
  readonly store: Store;
  readonly keys: ServerKeys;
  readonly bus: Bus;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly check: CheckMessage;
  readonly streams: NodeStreams;
  readonly work: StreamWork;
  readonly continuity: OrgContinuity;
  readonly rosters: RosterParts;
  readonly budgets: NodeBudgets;
  /** The server's name in signatures and proofs: `https://host:port`. */
  readonly origin: string;
  /** Whether people sign in here by a password. */
  readonly hasPasswords: boolean;
}
