import type { NetworkPolicyInput } from "@gatehouse/core";
import type { ListenAddress, SignedBundle, SignedFreshness, SignedRevocation } from "@gatehouse/kit";
import type { ResealCall } from "../fleet/fleet-calls.ts";
import type { FleetStatus } from "../fleet/fleet-status.ts";
import type { WorkerTotals } from "../metrics/worker-totals.ts";

/** What the daemon tells the key-holder when it starts it. */
export interface GateConfig {
  readonly stateDir: string;
  readonly port: number;
  readonly listen: readonly ListenAddress[];
  /** Sockets of container engines. */
  readonly engines: readonly string[];
  readonly workers: number;
  /** So long without a run or a call until `empty` is told. */
  readonly emptyAfterMs: number;
  /** The daemon ends then; shown in health. */
  readonly endsWhenEmpty: boolean;
  readonly upstreamCaFile: string | undefined;
  readonly hosts: Readonly<Record<string, string>>;
  readonly connectTimeoutMs: number;
  readonly upstreamTimeoutMs: number;
  readonly idleTimeoutMs: number;
  /** Lets runs without isolation have credentials attached. */
  readonly exposesCredentials: boolean;
  /** So long after the server's newest word the organisation's credentials are used. */
  readonly stalenessBoundMs: number;
  readonly recordsMaxBytes: number;
  readonly recordsMaxFiles: number;
  readonly logLevel: "error" | "warn" | "info" | "debug";
  readonly logFormat: "json" | "text";
  /** The daemon that this one takes over from. */
  readonly predecessor: Predecessor | undefined;
  /** Commit of this build, shown in health. */
  readonly commit: string;
}

/** What a successor needs of the daemon that hands over to it. */
export interface Predecessor {
  /** Of its daemon. */
  readonly pid: number;
  /** Socket at which its key-holder takes the successor's word. */
  readonly control: string;
  readonly proxyPort: number;
  /** Where each of its workers offers its listeners. */
  readonly listeners: readonly (readonly string[])[];
}

/** Calls of the key-holder to its daemon. */
export interface DaemonCalls {
  /** A successor comes: lets go of the state directory. */
  readonly letGo: { readonly params: null; readonly result: null };
  /** It did not come. */
  readonly takeBack: { readonly params: null; readonly result: null };
}

/** A run that the node starts itself, in a sandbox of its own. */
export interface StartRun {
  readonly runId: string;
  readonly agent: string | undefined;
  readonly project: string | undefined;
  readonly grants: readonly string[];
  readonly policy: NetworkPolicyInput;
  /** The run shares the user's own processes and files. */
  readonly isExposed: boolean;
  /** Name of the keeper's socket without `.sock`; absent when the run uses the shared listener. */
  readonly keeper: string | undefined;
}

export interface StartedRun {
  /** The run token, 64 hex characters. Goes into the sandbox, nowhere else. */
  readonly token: string;
  readonly proxyPort: number;
  /** Variables with placeholders that the grants' templates name. */
  readonly env: Readonly<Record<string, string>>;
  /** Hosts that the grants opened. */
  readonly allowed: readonly string[];
  /** Certificate of the interception CA, PEM. */
  readonly caCertificatePem: string;
  /** A rule or grant states a loopback host, so loopback must go through the gate too. */
  readonly statesLoopback: boolean;
}

/** What the daemon did, for the node's audit log. */
export interface DaemonEvent {
  readonly kind: string;
  readonly actor: string;
  readonly data: Readonly<Record<string, string | number>>;
}

export interface GateStatus {
  readonly pid: number;
  readonly proxyPort: number;
  readonly runCount: number;
  readonly workers: readonly { readonly pid: number | undefined; readonly isReady: boolean }[];
  /** What a restart brought back, and what it refused, with the reason. */
  readonly restored: number;
  readonly refused: readonly { readonly runId: string; readonly reason: string }[];
  readonly recordsFailing: boolean;
  /** `isTaking` is false while the log cannot be written, for `reason`: then every request is refused. */
  readonly audit: {
    readonly isTaking: boolean;
    readonly reason: string | undefined;
    /** Durable entries. */
    readonly entries: number;
  };
}

/**
 * Calls of the daemon to its key-holder over child-process IPC; no other process can make them. From a hand-over on,
 * those that change anything fail with `daemon.handing_over`: they are the successor's to follow.
 */
export interface GateCalls {
  readonly open: { readonly params: GateConfig; readonly result: { readonly proxyPort: number } };
  readonly startRun: { readonly params: StartRun; readonly result: StartedRun };
  /** Returns when every worker accepts on the run's listener. */
  readonly serveListener: { readonly params: { readonly runId: string }; readonly result: null };
  /** Returns when the end is durable and the run's connections are cut. */
  readonly endRun: { readonly params: { readonly runId: string }; readonly result: null };
  readonly listRuns: {
    readonly params: null;
    readonly result: readonly { readonly runId: string; readonly keeper: string | undefined }[];
  };
  /** Puts something that the daemon does on record. Returns when it is durable; fails with `audit.unwritable`. */
  readonly putOnRecord: { readonly params: DaemonEvent; readonly result: null };
  /** The daemon answers at its own socket: calls that are its own may be passed on. */
  readonly nodeServes: { readonly params: null; readonly result: null };
  /**
   * Serves a bundle whose parts lie below the state directory, in every run before it answers. Fails with
   * `bundle.refused`, `roster.refused`, `credentials.…`, `server.untrusted`; then everything is as it was.
   */
  readonly applyBundle: { readonly params: SignedBundle; readonly result: FleetStatus };
  /** Out of every run, and durable, when it answers. */
  readonly revokeCredentials: { readonly params: SignedRevocation; readonly result: null };
  /**
   * The parts of a credential for further nodes, as JSON, where an operator signed the order. Fails with
   * `credentials.refused`, `grants.not_found`.
   */
  readonly resealCredential: { readonly params: ResealCall; readonly result: string };
  /** Takes the server's newest word on the bundle that is served. Fails with `bundle.refused`. */
  readonly hearFreshness: { readonly params: SignedFreshness; readonly result: null };
  readonly fleetStatus: { readonly params: null; readonly result: FleetStatus };
  readonly status: { readonly params: null; readonly result: GateStatus };
  /** What the workers have counted since the gate started. */
  readonly totals: { readonly params: null; readonly result: WorkerTotals };
}

/** What the key-holder tells the daemon. */
export interface GateNotes {
  /** Somebody asked over the local API that the daemon stop. */
  readonly shutdownRequested: null;
  /** No run and no call for `emptyAfterMs`. */
  readonly empty: null;
}
