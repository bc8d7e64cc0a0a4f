export type { DaemonHealth } from "./daemon/ask-health.ts";
export { type EnsureRunningOptions, ensureRunning, type RunningDaemon } from "./daemon/ensure-running.ts";
export { type Node, type NodeDeps, openNode } from "./daemon/open-node.ts";
export { type DoctorCheck, failed, passed } from "./doctor/doctor-check.ts";
export { runDoctor } from "./doctor/run-doctor.ts";
export type { CreatedRun } from "./runs/sandboxes.ts";
export { startForegroundKeeper } from "./runs/spawn-keeper.ts";
