import type { RunId } from "@gatehouse/core";
import type { WorkerTotals } from "../metrics/worker-totals.ts";
import type { RunSnapshot } from "./run-snapshot.ts";

/**
 * What the key-holder asks of a worker over child-process IPC. Every call is answered when it has taken effect, so
 * the holder can answer its own caller only after every worker has followed.
 */
export interface WorkerCalls {
  /** First call after start: the whole table, the names of the world outside, and how to serve. */
  readonly start: { readonly params: WorkerStart; readonly result: WorkerStarted };
  /** Adds or replaces one run. */
  readonly putRun: {
    readonly params: { readonly generation: number; readonly run: RunSnapshot };
    readonly result: null;
  };
  /** Forgets one run and cuts its tunnels. */
  readonly dropRun: { readonly params: { readonly generation: number; readonly runId: RunId }; readonly result: null };
  /** Takes the run's listening descriptor from its keeper and accepts on it. */
  readonly serveListener: {
    readonly params: { readonly runId: RunId; readonly keeper: string };
    readonly result: null;
  };
  /** Until when the organisation's credentials are used, in seconds since boot. */
  readonly setFreshness: { readonly params: { readonly untilSeconds: number }; readonly result: null };
  /** Whether the audit log can be written: while it cannot, every request is refused. */
  readonly setAudit: { readonly params: { readonly isTaken: boolean }; readonly result: null };
  /** Offers each descriptor of the shared listener to a successor, at a socket of its own; returns their paths. */
  readonly offerListeners: { readonly params: null; readonly result: readonly string[] };
  /**
   * Stops accepting and lets exchanges finish until the deadline. What is idle ends at once, or stays usable until then
   * where `keepsIdle` says so.
   */
  readonly drain: {
    readonly params: { readonly deadlineMs: number; readonly keepsIdle: boolean };
    readonly result: null;
  };
}

export interface WorkerStart {
  readonly generation: number;
  readonly runs: readonly RunSnapshot[];
  readonly audit: { readonly node: string; readonly isTaken: boolean };
  readonly freshUntilSeconds: number;
  /** Where a predecessor offers descriptors of the shared listener; those that are had are used in place of a new one. */
  readonly inherits: readonly string[];
  readonly config: WorkerConfig;
}

export interface WorkerConfig {
  /** Port of the shared loopback listener; 0 in the first worker's start picks a free one. */
  readonly port: number;
  /** Addresses beside loopback, for containers of outside tools; without a port, the shared one's. */
  readonly listen: readonly { readonly host: string; readonly port: number | undefined }[];
  /** Directory of the keepers' sockets. */
  readonly keepersDir: string;
  /** Names resolved without asking the system, lower case → address. */
  readonly hosts: Readonly<Record<string, string>>;
  /** PEM certificates trusted for upstreams beside the system's. */
  readonly upstreamCaPem: string | undefined;
  /** The interception CA's certificate (PEM), sent behind each leaf. */
  readonly caCertificatePem: string;
  readonly connectTimeoutMs: number;
  readonly upstreamTimeoutMs: number;
  readonly idleTimeoutMs: number;
  /**
   * Open connections of clients, of all runs together; over it new ones are closed unread. A quarter is for sandboxes
   * alone.
   */
  readonly maxConnections: number;
  /** Of one run, tunnels and upgraded ones among them; over it new ones are refused with `gate.overloaded`. */
  readonly maxConnectionsPerRun: number;
  /** What the search of encoded answers may hold at the same time; over it they are refused with `gate.overloaded`. */
  readonly maxRecodingBytes: number;
  /**
   * Bytes of request heads that are not whole yet; over it they are refused with `gate.overloaded`. One run, or what
   * comes from outside sandboxes, has a half at most.
   */
  readonly maxHeadBytes: number;
  /** Addresses (`ip:port`) that belong to Gatehouse itself and are refused always. */
  readonly ownAddresses: readonly string[];
}

export interface WorkerStarted {
  readonly port: number;
}

/** What a worker asks of the key-holder. */
export interface HolderCalls {
  /**
   * Signs a leaf for `name` (DNS name or IP) over the worker's own public key (SPKI DER). PEM answer, 72 h. The ticket
   * keys (48 bytes) are the same for every worker, and not used after `ticketsUntil`.
   */
  readonly mintLeaf: {
    readonly params: { readonly name: string; readonly publicKey: Uint8Array };
    readonly result: {
      readonly certificatePem: string;
      readonly notAfter: number;
      readonly ticketKeys: Uint8Array;
      readonly ticketsUntil: number;
    };
  };
  /** Takes audit entries without their numbers, two lines each. Answered when they are durable, however long that takes. */
  readonly audit: { readonly params: string; readonly result: null };
}

/** What a worker tells the key-holder without waiting. */
export interface HolderNotes {
  /** Records as they are stored: a line of JSON each, so that nobody on the way reads and writes them again. */
  readonly records: Uint8Array;
  /** What the worker has counted since it started; once a second. */
  readonly totals: WorkerTotals;
}

/** One request as it is recorded. `url` holds query names without values. */
export interface RequestRecord {
  /** Unix milliseconds at which the head was read. */
  readonly time: number;
  readonly run: string | undefined;
  readonly agent: string | undefined;
  readonly project: string | undefined;
  readonly method: string;
  readonly url: string;
  readonly host: string;
  readonly port: number;
  readonly status: number;
  readonly duration_ms: number;
  readonly bytes_in: number;
  readonly bytes_out: number;
  readonly grants: readonly string[];
  readonly decision: "allowed" | "denied" | "failed";
  readonly code: string | undefined;
  readonly rule: string | undefined;
}
