import type { ChildProcess } from "node:child_process";
import type { IpcPeer } from "@gatehouse/kit";
import type { WorkerCalls } from "../snapshot/worker-protocol.ts";

// biome-ignore lint/complexity/noBannedTypes: workers are sent no notes
type NoNotes = {};

/** A worker that has its table and serves. */
export interface ReadyWorker {
  readonly child: ChildProcess;
  readonly peer: IpcPeer<WorkerCalls, NoNotes>;
}
