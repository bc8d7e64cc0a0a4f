import { encodeEntry } from "@gatehouse/core";
import type { AuditTrail } from "../../audit/audit-trail.ts";
import type { RecordScope } from "../record-scope.ts";
import { auditLogRecords } from "./audit-log-records.ts";

/** The organisation's own log: its next entry, in the transaction of what it reports. */
export function auditTrail(scope: RecordScope): AuditTrail {
  const { orgId, now } = scope;
  const logs = auditLogRecords(scope);
  const appendAll: AuditTrail["appendAll"] = async (events) => {
    // Two replicas that write at once must not take the same number.
    await logs.lock();
    const size = await logs.size(orgId);
    const time = now();
    const entries = events.map(({ kind, actor, node = null, run = null, data = {} }, at) => {
      const seq = size + at;
      return {
        seq,
        time,
        kind,
        text: encodeEntry({ seq, time, org: orgId, node, run, agent: null, actor, kind, data }),
      };
    });
    await logs.insertEntries(orgId, entries);
  };
  return { appendAll, append: (event) => appendAll([event]) };
}
