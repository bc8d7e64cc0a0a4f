export { loadTemplates, type Template } from "./credentials/templates.ts";
export type { GateCalls, GateConfig, GateNotes, GateStatus, StartedRun, StartRun } from "./holder/gate-protocol.ts";
export type { RequestRecord } from "./snapshot/worker-protocol.ts";
