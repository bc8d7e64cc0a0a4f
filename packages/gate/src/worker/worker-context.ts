import type { AuditEvent, Clock } from "@gatehouse/core";
import type { RequestRecord, WorkerConfig } from "../snapshot/worker-protocol.ts";
import type { LeafContexts } from "../tls/leaf-contexts.ts";
import type { UpstreamDialer } from "../upstream/open-upstream.ts";
import type { FairShares } from "./fair-shares.ts";
import type { IdleUpstreams } from "./idle-upstreams.ts";
import type { Recodings } from "./recodings.ts";
import type { RunTable } from "./run-table.ts";

/** What every connection of a worker shares. */
export interface WorkerContext {
  readonly config: WorkerConfig;
  readonly clock: Clock;
  readonly runs: RunTable;
  readonly leaves: LeafContexts;
  readonly dialer: UpstreamDialer;
  readonly idleUpstreams: IdleUpstreams;
  /** What the search of encoded bodies takes. */
  readonly recodings: Recodings;
  /** Bytes of heads that are not whole yet, by where they came in or whose they are. */
  readonly headBytes: FairShares;
  /** Connections that the sweeper looks at, so that no request needs a timer of its own. */
  readonly swept: Set<Swept>;
  /** Told of what was thrown while a request was served: a bug. */
  readonly onFault: (thrown: unknown) => void;
  /** Told when an address of `gate.listen` could not be listened at; it is tried again. */
  readonly onAddressLost: (address: string, failure: unknown) => void;
  /** What must be on record, come what may. */
  readonly audit: { readonly hasRoom: boolean; add(event: AuditEvent): void };
  readonly records: { readonly hasRoom: boolean; add(record: RequestRecord): void; flush(): void };
}

/** Something that is closed when it takes too long. */
export interface Swept {
  /** Called every few seconds with the monotonic time; closes what is over its limit. */
  sweep(nowMs: number): void;
  /**
   * The worker is about to end: ends what is idle, and the rest when its exchange is over. Called again and again
   * with the monotonic time until all are gone; who has just come may still ask once.
   */
  drain(nowMs: number): void;
}

export const SWEEP_EVERY_MS = 2_000;
/** A head must be whole this long after its first byte; so must a TLS handshake. */
export const HEAD_TIMEOUT_MS = 30_000;
/** A client that came while the worker was about to end has this long to say what it came for. */
export const LAST_REQUEST_MS = 1_000;
