import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import type { NodeGatewayService } from "@gatehouse/wire";
import { type CopyDeps, copyNodeLog } from "../../audit/copy-node-log.ts";
import { CopyPlaces } from "../../audit/copy-places.ts";
import { atPace } from "../../reports/at-pace.ts";
import type { Upload } from "../../reports/batch.ts";
import { GroupWriter } from "../../reports/group-writer.ts";
import { type ReadBatches, readBatches } from "../../reports/read-batches.ts";
import { type RunReport, storeEvents } from "../../reports/store-events.ts";
import { storePieces } from "../../reports/store-pieces.ts";
import { type Outcome, type Samples, storeTelemetry } from "../../reports/store-telemetry.ts";
import { AUDIT_PACE, AUDIT_STREAMS, MAX_AUDIT_STREAM_MS, REPORT_STREAMS_OF_NODE } from "../../reports/upload-limits.ts";
import { UploadPlaces } from "../../reports/upload-places.ts";
import { withNews } from "../../reports/with-news.ts";
import { within } from "../../reports/within.ts";
import type { ServerContext } from "../../server-context.ts";
import { nodeCaller } from "../caller.ts";
import { readAuditItems, sizeOfItem } from "./read-audit-items.ts";
import { readEvents, readTelemetry } from "./read-reports.ts";

/** One kind of report, as it comes in. */
interface Reporting<Payload> {
  readonly places: UploadPlaces;
  readonly writer: GroupWriter<Upload<Payload>, Outcome<Payload>>;
  readonly read: () => Promise<ReadBatches<Payload>>;
}

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
  const report = async <Payload>(context: HandlerContext, { places: own, writer, read }: Reporting<Payload>) => {
    const caller = nodeCaller(context);
    const { orgId, nodeId } = caller;
    budgets.reports.check(caller);
    using _place = own.take(nodeId);
    const { pieces, bytes } = await read();
    using _room = writer.reserve(orgId, bytes);
    const acknowledged = await storePieces(
      { nodeId, pieces },
      {
        write: (upload, size) => writer.write(orgId, upload, size),
        onStored: (size) => budgets.reports.spend(caller, size),
      },
    );
    return { acknowledged: Object.fromEntries([...acknowledged].map(([source, at]) => [source, BigInt(at)])) };
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
    uploadTelemetry: (requests, context) =>
      report(context, {
        places: places.telemetry,
        writer: telemetry,
        read: () => readBatches(requests, readTelemetry),
      }),
    uploadEvents: (requests, context) =>
      report(context, { places: places.events, writer: events, read: () => readBatches(requests, readEvents) }),
  } satisfies Partial<ServiceImpl<typeof NodeGatewayService>>;
}
