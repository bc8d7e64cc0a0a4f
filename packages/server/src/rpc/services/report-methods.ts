import type { ServiceImpl } from "@connectrpc/connect";
import { Problem } from "@gatehouse/core";
import type { NodeAdminService } from "@gatehouse/wire";
import type { StoredEvent } from "../../reports/event-records.ts";
import { watchEvents } from "../../reports/watch-events.ts";
import type { ServerContext } from "../../server-context.ts";
import { operatorCaller } from "../caller.ts";
import { nextChange } from "../next-change.ts";

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
        for await (const event of watchEvents(Number(cursor), deps, context.signal)) yield describeEvent(event);
      } finally {
        watchers.set(orgId, (watchers.get(orgId) ?? 1) - 1);
      }
    },
  } satisfies Partial<ServiceImpl<typeof NodeAdminService>>;
}

function inOrgOf(orgId: string, store: ServerContext["store"]) {
  return <T>(work: Parameters<typeof store.inOrg<T>>[1]) => store.inOrg(orgId, work);
}

function describeEvent({ cursor, time, kind, nodeId, runId, data }: StoredEvent) {
  return { cursor: BigInt(cursor), time: BigInt(time), kind, nodeId: nodeId ?? "", runId: runId ?? "", data };
}
