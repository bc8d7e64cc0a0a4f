import { eventually } from "@gatehouse/testbed";
import { expect, test } from "vitest";
import type { RequestRecord } from "../../src/snapshot/worker-protocol.ts";
import { RecordBatcher } from "../../src/worker/record-batcher.ts";
import { allowing, injection, openGate, outside, readLines } from "./gate-under-test.ts";
import { ok, openRawOrigin } from "./raw-origin.ts";

const RECORD: RequestRecord = {
  time: 0,
  run: "run-1",
  agent: undefined,
  project: undefined,
  method: "GET",
  url: "https://api.test/",
  host: "api.test",
  port: 443,
  status: 200,
  duration_ms: 1,
  bytes_in: 0,
  bytes_out: 0,
  grants: [],
  decision: "allowed",
  code: undefined,
  rule: undefined,
};

test("records leave in groups of at most 256, and none waits longer than a moment", async () => {
  const groups: number[] = [];
  using batcher = new RecordBatcher((lines) => groups.push(readLines(lines).length) > 0);
  for (let count = 0; count < 600; count += 1) batcher.add(RECORD);
  expect(groups).toEqual([256, 256]);
  await eventually("the rest", () => groups.length === 3);
  expect(groups).toEqual([256, 256, 88]);
});

test("records that are not taken wait, in order and in number bounded, and go when they are taken", async () => {
  let isTaking = false;
  const taken: number[] = [];
  const batcher = new RecordBatcher((lines) => {
    if (isTaking) taken.push(...readLines(lines).map(({ time }) => time));
    return isTaking;
  });
  for (let time = 0; time < 65_536; time += 1) batcher.add({ ...RECORD, time });
  expect(batcher.hasRoom).toBe(false);
  for (let count = 0; count < 10_000; count += 1) batcher.add({ ...RECORD, time: 65_536 });
  isTaking = true;
  batcher[Symbol.dispose]();
  expect(batcher.hasRoom).toBe(true);
  expect(taken.slice(0, 65_536)).toEqual(Array.from({ length: 65_536 }, (_, index) => index));
  expect(taken.length).toBeLessThan(65_536 + 5_000);
});

test("a request that cannot be recorded is not made", async () => {
  await using origin = await openRawOrigin(outside, () => ok("hello"));
  let isTaking = true;
  await using gate = await openGate({ deps: { sendRecords: () => isTaking, sendAudit: () => Promise.resolve() } });
  const host = `api.test:${origin.port}`;
  const token = await gate.put({ policy: allowing(host) });
  const client = await gate.tunnel(host, { cleartext: true });
  isTaking = false;
  // Refusals fill the records until there is no room for one more.
  const socket = client.stream.release();
  let text = "";
  socket.on("data", (chunk: Buffer) => {
    text = `${text.slice(-4_000)}${chunk.toString("latin1")}`;
  });
  socket.write(`GET / HTTP/1.1\r\nHost: other.test\r\n\r\n`.repeat(66_000));
  await eventually("a refusal for want of room", () => text.includes("gate.audit_unavailable"));
  expect(text).toContain("HTTP/1.1 503 Service Unavailable");
  const other = await gate.dial();
  expect((await other.connect(host, token)).header("x-gatehouse-denied")).toBe("gate.audit_unavailable");
  expect(origin.connections).toBe(0);
  isTaking = true;
  await eventually("room", async () => (await (await gate.dial()).connect(host, token)).status === 200);
}, 60_000);

test("each request leaves one record that says what became of it", async () => {
  await using origin = await openRawOrigin(outside, () => ok("hello"));
  await using gate = await openGate();
  const host = `api.test:${origin.port}`;
  const token = await gate.put({ policy: allowing(host, "sub.api.test:1") });
  const front = await gate.dial();
  await front.connect("denied.test:443", token);
  await front.connect(host, undefined);
  const client = await gate.tunnel(host);
  await client.ask(["POST /a HTTP/1.1", `Host: ${host}`, "Content-Length: 3"], "abc");
  const gone = await gate.tunnel("sub.api.test:1");
  await gone.ask(["GET /b HTTP/1.1", "Host: sub.api.test:1"]);
  client.send("nonsense\r\n\r\n");
  await eventually("five records", () => gate.records.length === 5);
  const seen = gate.records.map(({ run, method, url, status, decision, code, bytes_in, bytes_out }) =>
    [run, method, url, status, decision, code, bytes_in, bytes_out].join(" "),
  );
  expect(gate.records[0]?.rule).toBe("default");
  expect(seen).toEqual([
    "run-1 CONNECT denied.test:443 403 denied gate.policy_denied 0 0",
    ` CONNECT ${host} 407 denied gate.run_unknown 0 0`,
    `run-1 POST https://${host}/a 200 allowed  3 5`,
    "run-1 GET https://sub.api.test:1/b 502 failed gate.upstream_unreachable 0 0",
    "   400 denied gate.ambiguous_request 0 0",
  ]);
});

test("a bug that one request meets is its own: it is told, the process goes on", async () => {
  await using origin = await openRawOrigin(outside, () => ok("hello"));
  await using gate = await openGate();
  const host = `api.test:${origin.port}`;
  // Nobody may register such a value: it would be a message of its own.
  await gate.put({ policy: allowing(host), injections: [injection(host, "two\r\nlines")] });
  const client = await gate.tunnel(host);
  const answer = await client.ask(["GET / HTTP/1.1", `Host: ${host}`]);
  expect(answer.status).toBe(500);
  expect(answer.body).not.toContain("lines");
  expect(gate.faults).toHaveLength(1);
  expect(origin.connections).toBe(0);
  await gate.put({ policy: allowing(host) });
  expect((await (await gate.tunnel(host)).ask(["GET / HTTP/1.1", `Host: ${host}`])).status).toBe(200);
});
