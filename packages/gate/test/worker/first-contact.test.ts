import { expect, test } from "vitest";
import { allowing, injection, openGate, outside } from "./gate-under-test.ts";
import { ok, openRawOrigin } from "./raw-origin.ts";

test("a request in an intercepted tunnel reaches the service with the grant's credential", async () => {
  await using origin = await openRawOrigin(outside, () => ok("hello"));
  await using gate = await openGate();
  const host = `api.test:${origin.port}`;
  await gate.put({ policy: allowing(host), injections: [injection(host, "Bearer real")] });
  const client = await gate.tunnel(host);
  const answer = await client.ask(["GET /a?b=c HTTP/1.1", `Host: ${host}`, "Authorization: Bearer mine"]);
  expect(answer).toMatchObject({ status: 200, body: "hello" });
  expect(origin.requests).toHaveLength(1);
  expect(origin.requests[0]?.start).toBe("GET /a?b=c HTTP/1.1");
  expect(origin.requests[0]?.fields.filter(([name]) => name === "authorization")).toEqual([
    ["authorization", "Bearer real"],
  ]);
});
