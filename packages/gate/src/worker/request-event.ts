import { type AuditEvent, toCanonicalText } from "@gatehouse/core";
import type { Injection } from "../snapshot/run-snapshot.ts";
import type { RequestRecord } from "../snapshot/worker-protocol.ts";
import type { WorkerContext } from "./worker-context.ts";

/** A credential is about to be sent: which one, in which header, to where. */
export function injectionEvent(record: RequestRecord, carried: readonly Pick<Injection, "header">[]): AuditEvent {
  const headers = [...new Set(carried.map(({ header }) => header))];
  return eventOf(record, "request.injected", { grants: record.grants.map(toCanonicalText), headers });
}

/** Records a request that is over; a refusal goes into the audit log too. */
export function addRecord({ records, audit }: Pick<WorkerContext, "records" | "audit">, record: RequestRecord): void {
  records.add(record);
  if (record.decision === "denied") audit.add(denialEvent(record));
}

function denialEvent(record: RequestRecord): AuditEvent {
  return eventOf(record, "request.denied", { code: record.code ?? null, status: record.status });
}

function eventOf(record: RequestRecord, kind: string, more: AuditEvent["data"]): AuditEvent {
  const { time, run, agent, project, method, url, host, port, rule } = record;
  const name = agent === undefined || project === undefined ? (agent ?? null) : `${project}.${agent}`;
  return {
    time,
    run: run ?? null,
    agent: name,
    actor: "run",
    kind,
    data: {
      ...more,
      host: toCanonicalText(host),
      method: toCanonicalText(method),
      port,
      rule: rule === undefined ? null : toCanonicalText(rule),
      url: toCanonicalText(url),
    },
  };
}
