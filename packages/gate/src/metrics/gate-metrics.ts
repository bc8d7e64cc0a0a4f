import type { MetricRow, Samples } from "@gatehouse/kit";
import type { GateStatus } from "../holder/gate-protocol.ts";
import { DURATION_BOUNDS_MS, type WorkerTotals } from "./worker-totals.ts";

/** Every metric of the gate. The reference is generated from this table. */
export const GATE_METRICS = {
  gatehouse_gate_up: {
    kind: "gauge",
    say: "1 while the gate answers its daemon; else the gate's other figures are absent.",
  },
  gatehouse_gate_requests_total: {
    kind: "counter",
    say: "Requests, by what was decided: `allowed`, `denied`, or `failed` after they were allowed.",
    labels: ["decision"],
  },
  gatehouse_gate_refusals_total: {
    kind: "counter",
    say: "Requests that the gate answered itself, by problem code.",
    labels: ["code"],
  },
  gatehouse_gate_answers_total: {
    kind: "counter",
    say: "Answers to requests, by class of status: `2xx` …; `none` where there was none.",
    labels: ["status"],
  },
  gatehouse_gate_request_body_bytes_total: { kind: "counter", say: "Bytes of bodies that were sent to destinations." },
  gatehouse_gate_answer_body_bytes_total: { kind: "counter", say: "Bytes of bodies that came back to runs." },
  gatehouse_gate_request_duration_seconds: {
    kind: "histogram",
    say: "From a request's head to the end of its answer.",
    labels: ["le"],
  },
  gatehouse_gate_connections: { kind: "gauge", say: "Connections of runs that are open." },
  gatehouse_gate_runs: { kind: "gauge", say: "Runs that are registered." },
  gatehouse_gate_refused_runs: {
    kind: "gauge",
    say: "Runs that the last start could not restore in full, and so refused.",
  },
  gatehouse_gate_workers: { kind: "gauge", say: "Worker processes: `ready` or `starting`.", labels: ["state"] },
  gatehouse_gate_records_failing: { kind: "gauge", say: "1 while request records cannot be written." },
} as const satisfies Readonly<Record<string, MetricRow>>;

/** The gate's figures. No run, host or path is among the labels: they would be many, and tell what agents do. */
export function gateSamples(status: GateStatus, totals: WorkerTotals): Samples<typeof GATE_METRICS> {
  const ready = status.workers.filter(({ isReady }) => isReady).length;
  return {
    gatehouse_gate_up: [{ value: 1 }],
    gatehouse_gate_requests_total: Object.entries(totals.decisions).map(([decision, value]) => ({
      value,
      labels: { decision },
    })),
    gatehouse_gate_refusals_total: Object.entries(totals.refusals).map(([code, value]) => ({
      value,
      labels: { code },
    })),
    gatehouse_gate_answers_total: totals.answers.map((value, digit) => ({
      value,
      labels: { status: digit === 0 ? "none" : `${digit}xx` },
    })),
    gatehouse_gate_request_body_bytes_total: [{ value: totals.bytesIn }],
    gatehouse_gate_answer_body_bytes_total: [{ value: totals.bytesOut }],
    gatehouse_gate_request_duration_seconds: durationSamples(totals),
    gatehouse_gate_connections: [{ value: totals.connections }],
    gatehouse_gate_runs: [{ value: status.runCount }],
    gatehouse_gate_refused_runs: [{ value: status.refused.length }],
    gatehouse_gate_workers: [
      { value: ready, labels: { state: "ready" } },
      { value: status.workers.length - ready, labels: { state: "starting" } },
    ],
    gatehouse_gate_records_failing: [{ value: status.recordsFailing ? 1 : 0 }],
  };
}

/** The figures of a gate that does not answer. */
export const GATE_DOWN: Samples<typeof GATE_METRICS> = { gatehouse_gate_up: [{ value: 0 }] };

function durationSamples({ durations, durationMs }: WorkerTotals) {
  let count = 0;
  const buckets = durations.map((more, at) => {
    count += more;
    const bound = DURATION_BOUNDS_MS[at];
    return { value: count, labels: { le: bound === undefined ? "+Inf" : bound / 1000 }, suffix: "_bucket" as const };
  });
  return [
    ...buckets,
    { value: durationMs / 1000, suffix: "_sum" as const },
    { value: count, suffix: "_count" as const },
  ];
}
