import { Problem, systemClock } from "@gatehouse/core";
import { eventually } from "@gatehouse/testbed";
import { expect, test } from "vitest";
import { AuditBatcher, type AuditBatcherOptions } from "../../src/worker/audit-batcher.ts";
import { readMessage } from "./byte-stream.ts";
import { allowing, injection, openGate, readAuditLines } from "./gate-under-test.ts";
import { ok, openRawOrigin } from "./raw-origin.ts";

const EVENT = { time: 1, run: "run-1", agent: null, actor: "run", kind: "request.denied", data: {} };

test("a credential's entry is on its way when the request is, before the service has answered", async () => {
  await using origin = await openRawOrigin(undefined);
  await using gate = await openGate();
  const host = `api.test:${origin.port}`;
  await gate.put({ policy: allowing(host), injections: [injection(host, "Bearer planted", { allowCleartext: true })] });
  const client = await gate.tunnel(host, { cleartext: true });
  const answered = client.ask(["GET /v1?name=secret HTTP/1.1", `Host: ${host}`]);
  await eventually("the entry", () => gate.audit.length > 0);
  expect(gate.records).toEqual([]);
  expect(gate.audit).toMatchObject([
    {
      kind: "request.injected",
      node: "node-1",
      run: "run-1",
      agent: "project.agent",
      data: { grants: ["api"], headers: ["authorization"], method: "GET", url: `http://${host}/v1?name` },
    },
  ]);
  const stream = await origin.accept();
  expect((await readMessage(stream)).header("authorization")).toBe("Bearer planted");
  stream.write(ok("hello"));
  expect((await answered).status).toBe(200);
  expect(JSON.stringify(gate.audit)).not.toContain("planted");
});

test("a request without a credential makes no entry, a refused one does", async () => {
  await using origin = await openRawOrigin(undefined, () => ok("hello"));
  await using gate = await openGate();
  const host = `api.test:${origin.port}`;
  const token = await gate.put({ policy: allowing(host) });
  const client = await gate.tunnel(host, { cleartext: true });
  expect((await client.ask(["GET / HTTP/1.1", `Host: ${host}`])).status).toBe(200);
  expect((await (await gate.dial()).connect("other.test:443", token)).status).toBe(403);
  await eventually("the entry", () => gate.audit.length > 0);
  expect(gate.audit).toMatchObject([
    { kind: "request.denied", data: { code: "gate.policy_denied", status: 403, url: "other.test:443" } },
  ]);
});

test("while nothing can be put on record every request is refused, nothing reaches the service, and it ends with that", async () => {
  await using origin = await openRawOrigin(undefined, () => ok("hello"));
  await using gate = await openGate();
  const host = `api.test:${origin.port}`;
  const token = await gate.put({ policy: allowing(host), injections: [injection(host, "Bearer planted")] });
  const client = await gate.tunnel(host, { cleartext: true });
  await gate.worker.handle("setAudit", { isTaken: false });
  const refused = await client.ask(["GET / HTTP/1.1", `Host: ${host}`]);
  expect(refused).toMatchObject({ status: 503, body: expect.stringContaining("gate.audit_unavailable") });
  expect((await (await gate.dial()).connect(host, token)).status).toBe(503);
  expect((await (await gate.dial()).connect(host, "0".repeat(64))).status).toBe(503);
  const unread = await gate.dial();
  expect((await unread.ask(["GET nonsense"])).status).toBe(503);
  expect(origin.requests).toHaveLength(0);
  await gate.worker.handle("setAudit", { isTaken: true });
  expect((await client.ask(["GET / HTTP/1.1", `Host: ${host}`])).status).toBe(200);
  expect(gate.audit).toEqual([]);
});

function openBatcher(options: Partial<AuditBatcherOptions> & Pick<AuditBatcherOptions, "send">): AuditBatcher {
  const onFault = (thrown: unknown) => {
    throw thrown;
  };
  return new AuditBatcher({ node: "node-1", isTaken: true, clock: systemClock, onFault, ...options });
}

test("entries leave in groups, none waits longer than a moment, and what is not taken waits in order", async () => {
  const held: (() => void)[] = [];
  const taken: unknown[] = [];
  let isTaking = false;
  const send = async (lines: string) => {
    taken.push(...readAuditLines(lines).map(({ time }) => time));
    if (!isTaking) await new Promise<void>((resolve) => held.push(resolve));
  };
  const batcher = openBatcher({ send });
  let count = 0;
  for (; batcher.hasRoom; count += 1) batcher.add({ ...EVENT, time: count });
  expect(count).toBe(65_536 + taken.length);
  isTaking = true;
  for (const resolve of held) resolve();
  await eventually("all of them", () => taken.length === count);
  expect(taken).toEqual(Array.from({ length: count }, (_, index) => index));
  expect(batcher.hasRoom).toBe(true);
  batcher[Symbol.dispose]();
});

test("while the key-holder has not put on record what happened two seconds ago, there is no room for more", async () => {
  let nowMs = 0;
  const held: (() => void)[] = [];
  const send = () => new Promise<void>((resolve) => held.push(resolve));
  const batcher = openBatcher({ send, clock: { monotonicMs: () => nowMs } });
  // Nothing waits, however long nothing happens.
  nowMs = 60_000;
  expect(batcher.hasRoom).toBe(true);
  batcher.add(EVENT);
  nowMs += 2_000;
  expect(batcher.hasRoom).toBe(true);
  // Neither while it is not handed over yet nor when it is under way.
  nowMs += 1;
  expect(batcher.hasRoom).toBe(false);
  batcher.flush();
  expect(batcher.hasRoom).toBe(false);
  nowMs += 1_000;
  batcher.add(EVENT);
  batcher.flush();
  held[0]?.();
  // The second one is younger.
  await eventually("room again", () => batcher.hasRoom);
  nowMs += 2_001;
  expect(batcher.hasRoom).toBe(false);
  held[1]?.();
  await eventually("room again", () => batcher.hasRoom);
  batcher[Symbol.dispose]();
});

test("entries of which nobody knows whether they are on record leave no room for more", async () => {
  let nowMs = 0;
  const faults: unknown[] = [];
  const send = () => Promise.reject(new Problem("audit.unwritable"));
  const batcher = openBatcher({ send, clock: { monotonicMs: () => nowMs }, onFault: (thrown) => faults.push(thrown) });
  batcher.add(EVENT);
  batcher.flush();
  await eventually("the failure", () => faults.length === 1);
  nowMs = 2_001;
  expect(batcher.hasRoom).toBe(false);
  batcher[Symbol.dispose]();
});
