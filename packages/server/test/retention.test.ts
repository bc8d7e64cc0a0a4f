import { makeUuid, systemRandom } from "@gatehouse/core";
import { openHealth, renderMetrics, serveMetrics } from "@gatehouse/kit";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { SERVER_METRICS, ServerCounters } from "../src/metrics.ts";
import { type Forgotten, forgetOf } from "../src/reports/forget-reports.ts";
import { connectStore } from "../src/store/open-store.ts";
import type { Store } from "../src/store/store.ts";
import { DATABASES } from "./databases.ts";
import { RETENTION } from "./fleet-under-test.ts";
import { orgOnDatabase } from "./org-on-database.ts";
import { auditKinds } from "./stored-rows.ts";

const DAY_MS = 86_400_000;
/** More than one transaction forgets. */
const MANY = 1_200;

describe.each(DATABASES)("on $name", ({ open }) => {
  const on = orgOnDatabase(open);
  let store: Store;

  beforeAll(async () => {
    store = await connectStore(on.database.location, on.fleet.clock);
  });
  afterAll(async () => {
    await store[Symbol.asyncDispose]();
  });

  async function forget(counted = new ServerCounters(0)): Promise<readonly Forgotten[]> {
    const turns: Forgotten[] = [];
    const countForgotten = (forgotten: Forgotten) => {
      turns.push(forgotten);
      counted.countForgotten(forgotten);
    };
    const counters = { countForgotten };
    await forgetOf(on.org.orgId, { store, retention: RETENTION, counters }, new AbortController().signal);
    return turns;
  }

  test("commands that ended are forgotten after their time, some at once; those without an end and the audit log stay", async () => {
    const { nodeId } = (await on.org.enroll("n1")).registered;
    const batches = [...Array(MANY + 1)].map(() => makeUuid(on.fleet.clock.now(), systemRandom));
    const [open = "", ...ended] = batches;
    await store.inOrg(on.org.orgId, async ({ commands }) => {
      for (const id of batches) await commands.insertAll(batchOf(id, on.fleet.clock.now()), [{ id, nodeId }]);
      for (const id of ended) await commands.update(id, { state: "ok", finishedAt: on.fleet.clock.now() });
    });
    const before = await auditKinds(on.database.location, on.org.orgId);
    const counters = new ServerCounters(0);
    on.fleet.clock.advance(29 * DAY_MS);
    expect((await forget(counters)).map(({ commands }) => commands)).toEqual([0]);
    on.fleet.clock.advance(2 * DAY_MS);
    expect((await forget(counters)).map(({ commands }) => commands)).toEqual([1_000, 200]);
    expect(await scrape(counters)).toContain('gatehouse_server_forgotten_rows_total{kind="commands"} 1200\n');
    const left = await store.inOrg(on.org.orgId, async ({ commands }) => [
      await commands.find(open),
      await commands.find(ended[0] ?? ""),
    ]);
    expect(left).toMatchObject([{ state: "queued" }, undefined]);
    expect((await auditKinds(on.database.location, on.org.orgId)).slice(0, before.length)).toEqual(before);
  });
});

/** What `/metrics` answers of these counters. */
async function scrape(counters: ServerCounters): Promise<string> {
  const facts = { connections: 0, controlStreams: 0, admissionRunning: 0, admissionWaiting: 0 };
  await using served = await serveMetrics({
    port: 0,
    isExplicit: true,
    health: openHealth({ probes: [] }),
    render: () => renderMetrics(SERVER_METRICS, counters.samples(facts)),
    onFault: () => undefined,
  });
  return await (await fetch(`http://127.0.0.1:${served.port}/metrics`)).text();
}

function batchOf(batchId: string, now: number) {
  const own = { batchId, idempotencyKey: batchId, actor: "ada", authority: "key:k", kind: "ping" };
  return { ...own, payload: new Uint8Array(1), payloadSha256: new Uint8Array(32), notAfter: now + 400 * DAY_MS };
}
