export { isSharedSuffix, requireBindings } from "./credentials/binding.ts";
export { parseCredentialValue } from "./credentials/credential-value.ts";
export { loadTemplates, type Template } from "./credentials/templates.ts";
export { explainUnderPolicy } from "./explain/explain-policy.ts";
export type { Explanation } from "./explain/explain-request.ts";
export { readFleetState } from "./fleet/fleet-file.ts";
export type {
  DaemonCalls,
  GateCalls,
  GateConfig,
  GateNotes,
  GateStatus,
  Predecessor,
  StartedRun,
  StartRun,
} from "./holder/gate-protocol.ts";
export { WORKER_OPEN_FILES } from "./holder/worker-pool-options.ts";
export { GATE_DOWN, GATE_METRICS, gateSamples } from "./metrics/gate-metrics.ts";
export type { RequestRecord } from "./snapshot/worker-protocol.ts";
export { systemLookUp } from "./upstream/resolve-checked.ts";
