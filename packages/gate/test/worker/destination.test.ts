import { eventually } from "@gatehouse/testbed";
import { expect, test } from "vitest";
import { allowing, injection, openGate, outside } from "./gate-under-test.ts";
import { ok, openRawOrigin } from "./raw-origin.ts";

/** Two services and a run that may use both, with a credential for the first. */
async function openPair() {
  const origin = await openRawOrigin(outside, () => ok("hello"));
  const gate = await openGate();
  const host = `api.test:${origin.port}`;
  const other = `other.test:${origin.port}`;
  await gate.put({ policy: allowing(host, other), injections: [injection(host, "Bearer real")] });
  return { origin, gate, host, other };
}

test("a Host of another name, port or none is refused, and the service sees nothing", async () => {
  const { origin, gate, host, other } = await openPair();
  await using _ = origin;
  await using __ = gate;
  for (const stated of [other, "api.test", "api.test:1", `api.test.evil:${origin.port}`, `127.0.0.1:${origin.port}`]) {
    const client = await gate.tunnel(host);
    const answer = await client.ask(["GET / HTTP/1.1", `Host: ${stated}`]);
    expect(answer.status, stated).toBe(403);
    expect(answer.header("x-gatehouse-denied")).toBe("gate.destination_mismatch");
  }
  for (const spelled of [`API.test:${origin.port}`, `api.test.:${origin.port}`]) {
    const client = await gate.tunnel(host);
    expect((await client.ask(["GET / HTTP/1.1", `Host: ${spelled}`])).status, spelled).toBe(200);
  }
  expect(origin.requests.map(({ fields }) => fields.find(([name]) => name === "host")?.[1])).toEqual([host, host]);
});

test("an absolute target inside a tunnel names the tunnel's place and scheme", async () => {
  const { origin, gate, host, other } = await openPair();
  await using _ = origin;
  await using __ = gate;
  for (const target of [`https://${other}/`, `http://${host}/`]) {
    const client = await gate.tunnel(host);
    const stated = target.split("/")[2] ?? "";
    const answer = await client.ask([`GET ${target} HTTP/1.1`, `Host: ${stated}`]);
    expect(answer.header("x-gatehouse-denied"), target).toBe("gate.destination_mismatch");
  }
  expect(origin.connections).toBe(0);
  const client = await gate.tunnel(host);
  expect((await client.ask([`GET https://${host}/x HTTP/1.1`, `Host: ${host}`])).status).toBe(200);
  expect(origin.requests.map(({ start }) => start)).toEqual(["GET /x HTTP/1.1"]);
});

test("the SNI of another host ends the handshake, one that is absent does not", async () => {
  const { origin, gate, host, other } = await openPair();
  await using _ = origin;
  await using __ = gate;
  const { port } = origin;
  const crossed = await gate.tunnel(host, { cleartext: true });
  await expect(crossed.startTls("other.test")).rejects.toThrow();
  await eventually("the record", () => gate.records.some(({ code }) => code === "gate.destination_mismatch"));
  const back = await gate.tunnel(other, { cleartext: true });
  await expect(back.startTls("api.test")).rejects.toThrow();
  expect(origin.connections).toBe(0);
  const silent = await gate.tunnel(host, { cleartext: true });
  await silent.startTls(undefined);
  expect((await silent.ask(["GET / HTTP/1.1", `Host: api.test:${port}`])).status).toBe(200);
  expect((await silent.ask(["GET / HTTP/1.1", `Host: ${other}`])).status).toBe(403);
  expect(origin.requests).toHaveLength(1);
});

test("CONNECT with another Host, and one to a place that no rule allows, open no tunnel", async () => {
  const { origin, gate, host, other } = await openPair();
  await using _ = origin;
  await using __ = gate;
  const token = await gate.put({ policy: allowing(host, other) });
  const auth = `Proxy-Authorization: Bearer ${token}`;
  const client = await gate.dial();
  const crossed = await client.ask([`CONNECT ${host} HTTP/1.1`, `Host: ${other}`, auth]);
  expect(crossed.header("x-gatehouse-denied")).toBe("gate.destination_mismatch");
  const denied = await client.ask([`CONNECT sub.${host} HTTP/1.1`, `Host: sub.${host}`, auth]);
  expect(denied.status).toBe(403);
  expect(JSON.parse(denied.body)).toMatchObject({
    type: expect.any(String),
    title: expect.any(String),
    status: 403,
    detail: expect.any(String),
    code: "gate.policy_denied",
    rule: "default",
    allow_hint: expect.stringContaining(`sub.${host}`),
    retry: false,
  });
  expect(origin.connections).toBe(0);
});

test("what a rule denies is answered with that rule, not with an option that would not help", async () => {
  await using gate = await openGate();
  const rules = [{ action: "deny", hosts: ["api.test"], paths: ["/closed"] }] as const;
  await gate.put({ policy: { mode: "permissive", rules } });
  const client = await gate.tunnel("api.test:443");
  const { allow_hint: hint, rule } = JSON.parse((await client.ask(["GET /closed HTTP/1.1", "Host: api.test"])).body);
  expect({ hint, rule }).toEqual({
    hint: "rules[0] of the policy decided it, which --allow does not change.",
    rule: "rules[0]",
  });
});

test("a name that resolves to loopback is not dialed unless a rule states the range", async () => {
  await using origin = await openRawOrigin(outside, () => ok("hello"));
  await using gate = await openGate();
  const host = `api.test:${origin.port}`;
  const allow = { action: "allow", hosts: [host] } as const;
  await gate.put({ policy: { mode: "strict", rules: [allow] } });
  const client = await gate.tunnel(host);
  const refused = await client.ask(["GET / HTTP/1.1", `Host: ${host}`]);
  expect(refused.status).toBe(403);
  expect(JSON.parse(refused.body)).toMatchObject({
    code: "gate.address_forbidden",
    host: "api.test",
    allow_hint: expect.stringMatching(new RegExp(`policy rule for ${host} .*cidr`)),
  });
  expect(origin.connections).toBe(0);
  await gate.put({ policy: { mode: "strict", rules: [{ ...allow, cidr: ["10.0.0.0/8"] }] } });
  expect((await client.ask(["GET / HTTP/1.1", `Host: ${host}`])).status).toBe(403);
  await gate.put({ policy: { mode: "permissive" } });
  expect((await client.ask(["GET / HTTP/1.1", `Host: ${host}`])).status).toBe(403);
  expect(origin.connections).toBe(0);
  await gate.put({ policy: allowing(host) });
  expect((await client.ask(["GET / HTTP/1.1", `Host: ${host}`])).status).toBe(200);
});

test("a rule that is taken back closes the kept connection to its address", async () => {
  await using origin = await openRawOrigin(outside, () => ok("hello"));
  await using gate = await openGate();
  const host = `api.test:${origin.port}`;
  await gate.put({ policy: allowing(host) });
  const client = await gate.tunnel(host);
  expect((await client.ask(["GET / HTTP/1.1", `Host: ${host}`])).status).toBe(200);
  await gate.put({ policy: { mode: "strict", rules: [{ action: "allow", hosts: [host] }] } });
  const after = await client.ask(["GET / HTTP/1.1", `Host: ${host}`]);
  expect(after.header("x-gatehouse-denied")).toBe("gate.address_forbidden");
  expect(origin.requests).toHaveLength(1);
});

test("metadata, link-local and the gate's own addresses are refused where a rule states them", async () => {
  await using own = await openRawOrigin(undefined, () => ok("own"));
  await using gate = await openGate({
    config: {
      hosts: { "meta.test": "169.254.169.254", "local.test": "fe80::1", "nat.test": "64:ff9b::a9fe:a9fe" },
      ownAddresses: [`127.0.0.1:${own.port}`],
    },
  });
  const places = [
    "meta.test:80",
    "local.test:80",
    "nat.test:80",
    "169.254.169.254:80",
    "2852039166:80",
    `127.0.0.1:${own.port}`,
    `127.0.0.1:${gate.port}`,
    `localhost:${gate.port}`,
    `[::ffff:127.0.0.1]:${own.port}`,
  ];
  const token = await gate.put({
    policy: {
      mode: "strict",
      rules: [{ action: "allow", hosts: places, cidr: ["0.0.0.0/0", "::/0"] }],
    },
  });
  for (const place of places) {
    const client = await gate.dial();
    const answer = await client.ask([
      `GET http://${place}/ HTTP/1.1`,
      `Host: ${place}`,
      `Proxy-Authorization: Bearer ${token}`,
    ]);
    expect(answer.status, place).toBe(403);
    expect(answer.header("x-gatehouse-denied"), place).toBe("gate.address_forbidden");
  }
  expect(own.connections).toBe(0);
});

test("what is neither TLS nor HTTP inside a tunnel is cut and recorded", async () => {
  await using origin = await openRawOrigin(undefined, () => ok("hello"));
  await using gate = await openGate();
  const host = `api.test:${origin.port}`;
  await gate.put({ policy: allowing(host) });
  const client = await gate.tunnel(host, { cleartext: true });
  client.send(Buffer.from([0x00, 0x01, 0x02]));
  await eventually("the cut", () => client.isClosed);
  const ssh = await gate.tunnel(host, { cleartext: true });
  ssh.send("SSH-2.0-client\r\n\r\n");
  expect((await ssh.receive()).header("x-gatehouse-denied")).toBe("gate.ambiguous_request");
  await eventually("the record", () => gate.records.some(({ code }) => code === "gate.protocol_unknown"));
  expect(origin.connections).toBe(0);
});

test("a tunnel inside a tunnel is refused", async () => {
  const { origin, gate, host, other } = await openPair();
  await using _ = origin;
  await using __ = gate;
  const client = await gate.tunnel(host);
  const answer = await client.ask([`CONNECT ${other} HTTP/1.1`, `Host: ${other}`]);
  expect(answer.header("x-gatehouse-denied")).toBe("gate.protocol_unknown");
  expect(origin.connections).toBe(0);
});

test("one leaf is minted per host, however many tunnels open at once", async () => {
  const { origin, gate, host } = await openPair();
  await using _ = origin;
  await using __ = gate;
  await Promise.all(Array.from({ length: 8 }, () => gate.tunnel(host)));
  expect(gate.minted).toEqual(["api.test"]);
});
