import type { ServiceImpl } from "@connectrpc/connect";
import { Problem } from "@gatehouse/core";
import type { NodeAdminService } from "@gatehouse/wire";
import type { StoredEvent } from "../../reports/event-records.ts";
import type { ReportedRun } from "../../reports/run-records.ts";
import type { StoredSample } from "../../reports/sample-records.ts";
import type { UploadGap } from "../../reports/upload-records.ts";
import { watchEvents } from "../../reports/watch-events.ts";
import type { ServerContext } from "../../server-context.ts";
import { operatorCaller } from "../caller.ts";
import { nextChange } from "../next-change.ts";
import { whileAllowed } from "../while-allowed.ts";
import { toSafeNumber } from "./safe-number.ts";

const DEFAULT_RUNS = 2_500;
const DEFAULT_SAMPLES = 1_000;
/** Streams of events that one organisation may have open at one replica. */
const MAX_WATCHERS = 64;

/** What nodes reported, as operators read it. */
export function reportMethods({ store, bus }: ServerContext) {
  const watchers = new Map<string, number>();
  return {
    watchEvents: async function* ({ cursor }, context) {
      const { orgId } = operatorCaller(context);
      const open = watchers.get(orgId) ?? 0;
      if (open >= MAX_WATCHERS) throw new Problem("api.too_many", { detail: "Too many streams of events are open." });
      watchers.set(orgId, open + 1);
      try {
        const changes = nextChange(bus, (message) => message.kind === "events" && message.orgId === orgId);
        const deps = { nextChange: changes, inOrg: inOrgOf(orgId, store) };
        const from = toSafeNumber(cursor);
        const events = whileAllowed(context, bus, (signal) => watchEvents(from, deps, signal));
        for await (const event of events) yield describeEvent(event);
      } finally {
        watchers.set(orgId, (watchers.get(orgId) ?? 1) - 1);
      }
    },
    listRuns: async ({ nodeId, runId, includeExited, pageSize, pageToken }, context) => {
      const limit = pageSize === 0 ? DEFAULT_RUNS : pageSize;
      const [ofNode, ofRun, after] = [nodeId, runId, pageToken].map((text) => (text === "" ? undefined : text));
      const query = { nodeId: ofNode, runId: ofRun, after, includesEnded: includeExited, limit };
      const runs = await store.inOrg(operatorCaller(context).orgId, (tx) => tx.runs.list(query));
      const nextPageToken = runs.length < limit ? "" : (runs.at(-1)?.runId ?? "");
      return { runs: runs.map(describeRun), nextPageToken };
    },
    queryTelemetry: async ({ nodeId, name, from, to, limit }, context) =>
      store.inOrg(operatorCaller(context).orgId, async ({ uploads, samples: stored }) => {
        const query = {
          nodeId,
          name,
          from: toSafeNumber(from),
          to: toSafeNumber(to),
          limit: limit === 0 ? DEFAULT_SAMPLES : limit,
        };
        const [samples, gaps] = [await stored.list(query), await uploads.gaps(query)];
        return { samples: samples.map(describeSample), gaps: gaps.map(describeGap) };
      }),
  } satisfies Partial<ServiceImpl<typeof NodeAdminService>>;
}

function inOrgOf(orgId: string, store: ServerContext["store"]) {
  return <T>(work: Parameters<typeof store.inOrg<T>>[1]) => store.inOrg(orgId, work);
}

function describeEvent({ cursor, time, kind, nodeId, runId, data }: StoredEvent) {
  return { cursor: BigInt(cursor), time: BigInt(time), kind, nodeId: nodeId ?? "", runId: runId ?? "", data };
}

function describeRun({ isExposed: exposed, createdAt, endedAt, reportedAt, ...run }: ReportedRun) {
  const times = { createdAt: BigInt(createdAt), endedAt: BigInt(endedAt ?? 0), reportedAt: BigInt(reportedAt) };
  return { ...run, ...times, exposed, grants: [...run.grants] };
}

function describeSample({ name, runId, time, value }: StoredSample) {
  return { name, runId, time: BigInt(time), value };
}

function describeGap({ source, firstOffset, throughOffset, batches }: UploadGap) {
  const offsets = { firstOffset: BigInt(firstOffset), throughOffset: BigInt(throughOffset) };
  return { source, ...offsets, batches: BigInt(batches) };
}
