import type { Clock, RunId } from "@gatehouse/core";
import type { ChangeLog } from "../audit/gate-audit.ts";
import type { NodeKey } from "../credentials/node-key.ts";
import type { SnapshotDeps } from "../holder/build-snapshot.ts";
import type { RunSnapshot } from "../snapshot/run-snapshot.ts";
import type { InlineValues, RegisteredRun } from "./registered-run.ts";

/** Tells every worker; resolves when each has followed. */
export interface RunPublisher {
  put(run: RunSnapshot): Promise<void>;
  drop(runId: RunId): Promise<void>;
}

export interface RegistryDeps extends SnapshotDeps {
  readonly clock: Clock;
  readonly stateDir: string;
  readonly publisher: RunPublisher;
  readonly key: NodeKey;
  readonly audit: ChangeLog;
}

/** A run to add: everything but what the registry makes itself. */
export interface NewRun {
  readonly run: Omit<RegisteredRun, "tokenHash" | "registeredAt" | "sealedValues">;
  readonly values: InlineValues;
  /** Only a registration under a token that the caller kept; absent makes a new one. */
  readonly token?: string | undefined;
  /** Who asked, for the record; absent when the node itself did. */
  readonly actor?: string | undefined;
}
