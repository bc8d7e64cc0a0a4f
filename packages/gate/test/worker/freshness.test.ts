import { uptime } from "node:os";
import { expect, test } from "vitest";
import { allowing, injection, openGate } from "./gate-under-test.ts";
import { ok, openRawOrigin } from "./raw-origin.ts";

test("an organisation's credential leaves only while its server was heard of; a node's own always", async () => {
  await using origin = await openRawOrigin(undefined, () => ok("hello"));
  await using gate = await openGate();
  const host = `api.test:${origin.port}`;
  const organisations = injection(host, "Bearer planted", { allowCleartext: true, needsFreshness: true });
  await gate.put({ policy: allowing(host), injections: [organisations] });
  const client = await gate.tunnel(host, { cleartext: true });
  const ask = () => client.ask(["GET / HTTP/1.1", `Host: ${host}`]);
  expect(await ask()).toMatchObject({ status: 503, body: expect.stringContaining("gate.bundle_stale") });
  expect(origin.requests).toHaveLength(0);
  await gate.worker.handle("setFreshness", { untilSeconds: uptime() + 60 });
  expect((await ask()).status).toBe(200);
  await gate.worker.handle("setFreshness", { untilSeconds: uptime() - 1 });
  expect((await ask()).status).toBe(503);
  expect(origin.requests).toHaveLength(1);
  await gate.put({ policy: allowing(host), injections: [injection(host, "Bearer own", { allowCleartext: true })] });
  expect((await ask()).status).toBe(200);
});

test("a policy of the organisation closes what a run's own opens, and opens nothing that it does not", async () => {
  await using origin = await openRawOrigin(undefined, () => ok("hello"));
  await using gate = await openGate();
  const host = `api.test:${origin.port}`;
  const other = `other.test:${origin.port}`;
  const closing = { mode: "permissive", rules: [{ action: "deny", hosts: [host], paths: ["/closed"] }] } as const;
  await gate.put({ policy: allowing(host), ceilings: [closing] });
  const client = await gate.tunnel(host, { cleartext: true });
  expect((await client.ask(["GET /open HTTP/1.1", `Host: ${host}`])).status).toBe(200);
  expect((await client.ask(["GET /closed HTTP/1.1", `Host: ${host}`])).status).toBe(403);
  const token = await gate.put({ policy: allowing(host), ceilings: [{ mode: "permissive" }] });
  expect((await (await gate.dial()).connect(other, token)).status).toBe(403);
  await gate.put({ policy: allowing(host), ceilings: [{ mode: "strict" }] });
  expect((await (await gate.dial()).connect(host, token)).status).toBe(403);
  expect(origin.requests).toHaveLength(1);
});
