import { eventually } from "@gatehouse/testbed";
import { expect, test } from "vitest";
import { GateTotals } from "../src/metrics/gate-totals.ts";
import { NO_TOTALS } from "../src/metrics/worker-totals.ts";
import { allowing, openGate, outside } from "./worker/gate-under-test.ts";
import { ok, openRawOrigin } from "./worker/raw-origin.ts";

test("a worker counts what its records say and tells it once a second", async () => {
  await using origin = await openRawOrigin(outside, () => ok("hello"));
  await using gate = await openGate();
  const host = `api.test:${origin.port}`;
  await gate.put({ policy: allowing(host) });
  const client = await gate.tunnel(host);
  expect((await client.ask(["GET / HTTP/1.1", `Host: ${host}`])).status).toBe(200);
  expect((await client.ask(["GET / HTTP/1.1", "Host: other.test"])).status).toBe(403);
  await eventually("both requests", () => gate.totals.at(-1)?.decisions.denied === 1);
  const { decisions, refusals, answers, durations, bytesOut, connections } = gate.totals.at(-1) ?? NO_TOTALS;
  expect(decisions).toEqual({ allowed: 1, denied: 1, failed: 0 });
  expect(refusals).toEqual({ "gate.destination_mismatch": 1 });
  expect(answers).toEqual([0, 0, 1, 0, 1, 0]);
  expect(durations.reduce((sum, count) => sum + count, 0)).toBe(2);
  expect(bytesOut).toBe(5);
  expect(connections).toBe(1);
});

test("what a worker counted stays when it ends; its connections do not", () => {
  const totals = new GateTotals();
  const [first, second] = [{}, {}];
  totals.take(first, { ...NO_TOTALS, bytesIn: 3, connections: 2 });
  totals.take(first, { ...NO_TOTALS, bytesIn: 5, connections: 2, refusals: { internal: 1 } });
  totals.take(second, { ...NO_TOTALS, bytesIn: 7, connections: 1, refusals: { internal: 1 } });
  expect(totals.sum()).toMatchObject({ bytesIn: 12, connections: 3, refusals: { internal: 2 } });
  totals.end(first);
  totals.end(first);
  expect(totals.sum()).toMatchObject({ bytesIn: 12, connections: 1, refusals: { internal: 2 } });
});
