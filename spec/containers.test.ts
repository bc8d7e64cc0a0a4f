import { rm } from "node:fs/promises";
import { createServer, type ServerResponse } from "node:http";
import { join } from "node:path";
import { eventually, openFakeApi, startWorld, type World } from "@gatehouse/testbed";
import { afterAll, beforeAll, expect, test } from "vitest";
import { askThrough, openTunnel, type Registered } from "./registered-run.ts";

/** The bridge's gateway, and two containers on it: the host reaches all of loopback. */
const GATEWAY = "127.0.0.2";
const OWN = "127.0.0.5";
const OTHER = "127.0.0.6";
const ID = "5e".repeat(32);

let world: World;
let engine: Awaited<ReturnType<typeof openFakeEngine>>;

beforeAll(async () => {
  engine = await openFakeEngine(join("/tmp", `gh-engine-${process.pid}.sock`));
  world = await startWorld({ settings: { gate: { listen: [GATEWAY], engines: [engine.path] } } });
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
  await engine[Symbol.asyncDispose]();
});

async function register(body: object): Promise<Registered> {
  const { status, body: answer } = await world.request("POST", "/v1/runs", body);
  expect(status, JSON.stringify(answer)).toBe(201);
  return answer as Registered;
}

test("at an address for containers the token alone counts until the container is named, then only its own address", async () => {
  await using api = await openFakeApi({ authority: world.authority });
  const host = `127.0.0.1:${api.port}`;
  const run = await register({ run_id: "boxed", network_allow: [host] });
  for (const from of [OWN, OTHER]) {
    expect(await askThrough(run, host, { gate: GATEWAY, from })).toMatch(/^HTTP\/1\.1 200 /);
  }
  const before = api.requests.length;
  engine.containers = [{ Id: ID, Names: ["/boxed"], State: "running", NetworkSettings: networks(OWN) }];
  const { status } = await world.request("PATCH", `/v1/runs/${run.auth_token}`, { Container_ID: ID.slice(0, 12) });
  expect(status).toBe(204);
  const elsewhere = await askThrough(run, host, { gate: GATEWAY, from: OTHER });
  expect(elsewhere).toMatch(/^HTTP\/1\.1 403 /);
  expect(elsewhere).toContain("gate.run_elsewhere");
  expect(api.requests).toHaveLength(before);
  expect(await askThrough(run, host, { gate: GATEWAY, from: OWN })).toMatch(/^HTTP\/1\.1 200 /);
  expect(await askThrough(run, host)).toMatch(/^HTTP\/1\.1 200 /);
  await world.record({ run: undefined, code: "gate.run_elsewhere" });
  expect((await world.request("GET", "/v1/runs")).body).toMatchObject([
    { run_id: "boxed", container_id: ID.slice(0, 12), external: true },
  ]);

  // The same run under new terms is still in its container.
  await register({ run_id: "boxed", auth_token: run.auth_token, network_allow: [host] });
  expect(await askThrough(run, host, { gate: GATEWAY, from: OTHER })).toContain("gate.run_elsewhere");
  expect(await askThrough(run, host, { gate: GATEWAY, from: OWN })).toMatch(/^HTTP\/1\.1 200 /);
  await world.request("DELETE", `/v1/runs/${run.auth_token}`);
});

test("a container that its engine cannot place yet is let in nowhere but on loopback", async () => {
  await using api = await openFakeApi({ authority: world.authority });
  const host = `127.0.0.1:${api.port}`;
  const run = await register({ run_id: "unplaced", network_allow: [host] });
  engine.containers = "fails";
  await world.request("PATCH", `/v1/runs/${run.auth_token}`, { container_id: ID });
  expect(await askThrough(run, host, { gate: GATEWAY, from: OWN })).toContain("gate.run_elsewhere");
  expect(api.requests).toEqual([]);
  engine.containers = [{ Id: ID, Names: [], State: "running", NetworkSettings: networks(OWN) }];
  engine.say();
  await eventually("the container's place", async () =>
    (await askThrough(run, host, { gate: GATEWAY, from: OWN })).startsWith("HTTP/1.1 200 "),
  );
  await world.request("DELETE", `/v1/runs/${run.auth_token}`);
});

test("a run ends when its container does, its tunnel with it; one whose container lives stays", async () => {
  await using api = await openFakeApi({ authority: world.authority });
  const host = `127.0.0.1:${api.port}`;
  const [mortal, other] = [
    await register({ run_id: "mortal", network_allow: [host] }),
    await register({ run_id: "other", network_allow: [host] }),
  ];
  const row = (id: string) => ({ Id: id, Names: [], State: "running", NetworkSettings: networks(OWN) });
  engine.containers = [row(ID), row("6f".repeat(32))];
  await world.request("PATCH", `/v1/runs/${mortal.auth_token}`, { container_id: ID });
  await world.request("PATCH", `/v1/runs/${other.auth_token}`, { container_id: "6f".repeat(32) });
  const tunnel = await openTunnel(mortal, host, { gate: GATEWAY, from: OWN });
  expect(tunnel.text).toMatch(/^HTTP\/1\.1 200 /);
  engine.containers = [row("6f".repeat(32))];
  engine.say();
  await eventually("the tunnel's end", () => tunnel.isClosed);
  await eventually("the run's end", async () => {
    const { body } = await world.request("GET", "/v1/runs");
    return JSON.stringify((body as readonly { run_id: string }[]).map((one) => one.run_id)) === '["other"]';
  });
  const revived = await world.request("POST", "/v1/runs", { run_id: "mortal", auth_token: mortal.auth_token });
  expect(revived).toMatchObject({ status: 410, body: { code: "runs.token_revoked" } });
  await world.request("DELETE", `/v1/runs/${other.auth_token}`);
});

test("addresses that mean every interface, names and foreign addresses are refused at the start", async () => {
  for (const listen of ["0.0.0.0", "[::]:8080", "0", "localhost", "127.0.0.1:0"]) {
    await using refused = await startWorld({ isStarted: false, settings: { gate: { listen: [listen] } } });
    const { code, stderr } = await refused.cli(["up", "--json"]);
    expect(code, listen).toBe(2);
    expect(stderr).toContain("gate.listen");
  }
  await using foreign = await startWorld({ isStarted: false, settings: { gate: { listen: ["203.0.113.9:4000"] } } });
  const { code, stderr } = await foreign.cli(["up", "--json"]);
  expect(code).toBe(2);
  expect(stderr).toContain("203.0.113.9:4000");
});

function networks(address: string): object {
  return { Networks: { bridge: { IPAddress: address, GlobalIPv6Address: "" } } };
}

/** What a container engine says over its socket; its containers are the test's word. */
async function openFakeEngine(path: string) {
  const listeners = new Set<ServerResponse>();
  const state: { containers: readonly object[] | "fails" } = { containers: [] };
  const server = createServer((request, response) => {
    if (request.url?.startsWith("/events")) {
      response.writeHead(200).flushHeaders();
      listeners.add(response);
      response.once("close", () => listeners.delete(response));
    } else if (state.containers === "fails") response.writeHead(500).end("{}");
    else response.writeHead(200).end(JSON.stringify(state.containers));
  });
  await rm(path, { force: true });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return Object.assign(state, {
    path,
    say: () => {
      for (const listener of listeners) listener.write('{"Type":"container","Action":"die"}\n');
    },
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  });
}
