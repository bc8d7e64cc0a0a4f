import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import type { NodeGatewayService } from "@gatehouse/wire";
import { type CopyDeps, copyNodeLog } from "../../audit/copy-node-log.ts";
import { CopyPlaces } from "../../audit/copy-places.ts";
import { SlowDownProblem } from "../../limits/slow-down-problem.ts";
import { atPace } from "../../reports/at-pace.ts";
import type { Acknowledged, Upload } from "../../reports/batch.ts";
import { GroupWriter } from "../../reports/group-writer.ts";
import { type ReadBatches, readBatches } from "../../reports/read-batches.ts";
import { type RunReport, storeEvents } from "../../reports/store-events.ts";
import { type Outcome, type Samples, storeTelemetry } from "../../reports/store-telemetry.ts";
import {
  AUDIT_PACE,
  AUDIT_STREAMS,
  MAX_AUDIT_STREAM_MS,
  MAX_TURNS,
  REPORT_STREAMS_OF_NODE,
  RETRY_UPLOAD_MS,
} from "../../reports/upload-limits.ts";
import { UploadPlaces } from "../../reports/upload-places.ts";
import { withNews } from "../../reports/with-news.ts";
import { within } from "../../reports/within.ts";
import type { ServerContext } from "../../server-context.ts";
import { nodeCaller } from "../caller.ts";
import { readAuditItems, sizeOfItem } from "./read-audit-items.ts";
import { readEvents, readTelemetry } from "./read-reports.ts";

/** What nodes upload. A stream is read whole, then stored piece by piece with those of other nodes that came meanwhile. */
export function uploadMethods({ store, bus, clock, budgets }: ServerContext) {
  const telemetry = new GroupWriter<Upload<Samples>, Outcome<Samples>>((orgId, uploads) =>
    store.inOrg(orgId, (tx) => storeTelemetry(tx, uploads)),
  );
  const events = new GroupWriter<Upload<RunReport>, Outcome<RunReport>>(async (orgId, uploads) => {
    const outcomes = await store.inOrg(orgId, (tx) => storeEvents(tx, uploads));
    bus.publish({ kind: "events", orgId });
    return outcomes;
  });
  const copies = new CopyPlaces(AUDIT_STREAMS, clock);
  const places = {
    telemetry: new UploadPlaces(REPORT_STREAMS_OF_NODE),
    events: new UploadPlaces(REPORT_STREAMS_OF_NODE),
  };
  return {
    uploadAudit: async (requests, context) => {
      const { orgId, nodeId } = nodeCaller(context);
      using place = copies.take({ orgId, nodeId });
      const paced = atPace(requests, { ...AUDIT_PACE, sizeOf: sizeOfItem });
      const items = readAuditItems(within(paced, MAX_AUDIT_STREAM_MS, place.signal));
      const inOrg: CopyDeps["inOrg"] = async (work) => {
        const { result, hasNews } = await store.inOrg(orgId, (tx) => withNews(tx, work));
        if (hasNews) bus.publish({ kind: "events", orgId });
        return result;
      };
      const size = await copyNodeLog(items, { orgId, nodeId, inOrg });
      return { acknowledgedSize: BigInt(size) };
    },
    uploadTelemetry: async (requests, context) => {
      const caller = nodeCaller(context);
      budgets.reports.check(caller);
      using _ = places.telemetry.take(caller.nodeId);
      const read = await readBatches(requests, readTelemetry);
      const answer = await submit(telemetry, read, context);
      budgets.reports.spend(caller, read.bytes);
      return answer;
    },
    uploadEvents: async (requests, context) => {
      const caller = nodeCaller(context);
      budgets.reports.check(caller);
      using _ = places.events.take(caller.nodeId);
      const read = await readBatches(requests, readEvents);
      const answer = await submit(events, read, context);
      budgets.reports.spend(caller, read.bytes);
      return answer;
    },
  } satisfies Partial<ServiceImpl<typeof NodeGatewayService>>;
}

async function submit<Payload>(
  writer: GroupWriter<Upload<Payload>, Outcome<Payload>>,
  { pieces, bytes }: ReadBatches<Payload>,
  context: HandlerContext,
): Promise<{ acknowledged: Record<string, bigint> }> {
  const { orgId, nodeId } = nodeCaller(context);
  using _ = writer.reserve(orgId, bytes);
  const acknowledged: Record<string, bigint> = {};
  for (const { batches, bytes: size } of pieces) {
    const write = (upload: Upload<Payload>) => writer.write(orgId, upload, size);
    const stored = await storeWhole({ nodeId, batches }, write);
    for (const [source, at] of stored) acknowledged[source] = BigInt(at);
  }
  return { acknowledged };
}

/** A piece that takes several transactions: others have their turn between them. */
async function storeWhole<Payload>(
  upload: Upload<Payload>,
  write: (upload: Upload<Payload>) => Promise<Outcome<Payload>>,
): Promise<Acknowledged> {
  let left = upload;
  for (let turn = 0; turn < MAX_TURNS; turn += 1) {
    const outcome = await write(left);
    if ("refused" in outcome) throw outcome.refused;
    if ("acknowledged" in outcome) return outcome.acknowledged;
    left = outcome.rest;
  }
  throw new SlowDownProblem("server.busy", RETRY_UPLOAD_MS);
}
