import { cp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import type { ServerResponse } from "node:http";
import { join } from "node:path";
import { connect as connectTls, type TLSSocket } from "node:tls";
import {
  eventually,
  failCalls,
  findProcessTree,
  isAlive,
  listProcesses,
  openFakeApi,
  REPOSITORY,
  runProcess,
  startWorld,
  type World,
} from "@gatehouse/testbed";
import { afterAll, beforeAll, expect, test } from "vitest";
import { streamUnix } from "../packages/kit/src/index.ts";
import { openGrantedApi } from "./granted-api.ts";
import { get, type RawProxyClient, startRawClient } from "./raw-proxy-client.ts";
import { askThrough, openTunnel, type Registered } from "./registered-run.ts";

/** The same build under another commit: the next version. Inside the repository, so that it finds its packages. */
const NEXT = join(REPOSITORY, `dist.next-${process.pid}`);

beforeAll(async () => {
  await cp(join(REPOSITORY, "dist"), NEXT, { recursive: true });
  const build = JSON.parse(await readFile(join(NEXT, "build.json"), "utf8"));
  await writeFile(join(NEXT, "build.json"), JSON.stringify({ ...build, commit: "0123456789ab" }));
});
afterAll(() => rm(NEXT, { recursive: true, force: true }));

interface Health {
  readonly pid: number;
  readonly commit: string;
  readonly proxy_port: number;
}

async function health(world: World): Promise<Health> {
  return (await world.request("GET", "/v1/health")).body as Health;
}

/** `gatehouse run` of the next version, on the world's state. */
function runNext(world: World) {
  const where = ["--state-dir", world.paths.stateDir, "--config", world.paths.config];
  const command = [
    "run",
    ...where,
    "--env",
    `TESTBED_WORLD=${world.paths.directory}`,
    "--",
    "/bin/echo",
    "from the next",
  ];
  return runProcess(process.execPath, [join(NEXT, "gatehouse.js"), ...command], {
    env: world.environment,
    cwd: world.paths.workspace,
  });
}

/** Opens a tunnel to the granted service, from inside a sandbox. */
async function enterTunnel(client: RawProxyClient, host: string): Promise<void> {
  expect(await client.step({ connect: host })).toMatchObject({ status: 200 });
  expect(await client.step({ tls: true, sni: "api.example.test" })).toMatchObject({ secure: true });
}

async function stopNext(world: World): Promise<void> {
  const { pid } = await health(world);
  await world.request("POST", "/v1/shutdown");
  await eventually("the successor's end", async () => !(await isAlive(pid)));
}

/** Does something every 50 ms until stopped; returns what failed. */
function keepDoing(act: () => Promise<unknown>) {
  const state = { done: 0, failures: [] as unknown[], isStopped: false };
  const loop = (async () => {
    while (!state.isStopped) {
      await act().then(
        () => {
          state.done += 1;
        },
        (failure) => state.failures.push(failure),
      );
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  })();
  return Object.assign(state, {
    stop: async () => {
      state.isStopped = true;
      await loop;
    },
  });
}

async function secureTunnel(run: Registered, host: string) {
  const { text, socket } = await openTunnel(run, host);
  expect(text).toMatch(/^HTTP\/1\.1 200 /);
  socket.removeAllListeners("data");
  const stream: TLSSocket = connectTls({ socket, rejectUnauthorized: false });
  const seen = { text: "", isClosed: false, stream };
  stream.on("data", (part: Buffer) => {
    seen.text += part.toString("latin1");
  });
  stream.on("error", () => stream.destroy());
  stream.once("close", () => {
    seen.isClosed = true;
  });
  return seen;
}

test("a run of the next version takes the daemon over: nothing is refused, tunnels live on, and a deleted run's are cut", async () => {
  await using world = await startWorld();
  const downloads: ServerResponse[] = [];
  await using api = await openFakeApi({
    authority: world.authority,
    respond: ({ url }, response) => {
      if (url !== "/download") return false;
      response.writeHead(200, { "content-type": "application/octet-stream" });
      response.write("begun ");
      downloads.push(response);
      return true;
    },
  });
  const host = `127.0.0.1:${api.port}`;
  const register = async (run_id: string) =>
    (await world.request("POST", "/v1/runs", { run_id, network_allow: [host] })).body as Registered;
  const [kept, cut] = [await register("kept"), await register("cut")];
  const idle = await secureTunnel(kept, host);
  const download = await secureTunnel(kept, host);
  const doomed = await secureTunnel(cut, host);
  const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`;
  for (const { stream } of [download, doomed]) stream.write(get("/download"));
  await eventually("both downloads", () => download.text.includes("begun") && doomed.text.includes("begun"));

  const before = await health(world);
  const fetching = keepDoing(async () => {
    const answer = await askThrough(kept, host);
    if (!answer.startsWith("HTTP/1.1 200 ")) throw new Error(answer.slice(0, 200));
  });
  const asking = keepDoing(async () => {
    const { status } = await world.request("GET", "/v1/runs");
    if (status !== 200) throw new Error(`runs answered ${status}`);
  });
  let registered = 0;
  const registering = keepDoing(async () => {
    registered += 1;
    const { status, body } = await world.request("POST", "/v1/runs", { run_id: `r${registered}` });
    if (status !== 201) throw new Error(JSON.stringify(body));
  });
  expect(await runNext(world)).toMatchObject({ code: 0, stdout: "from the next\n" });
  const after = await health(world);
  expect(after).toMatchObject({ commit: "0123456789ab", proxy_port: before.proxy_port, ends_when_empty: false });
  expect(after.pid).not.toBe(before.pid);
  const lock = JSON.parse(await readFile(join(world.paths.stateDir, "daemon.lock"), "utf8"));
  expect(lock).toMatchObject({ pid: after.pid, proxy_port: after.proxy_port, commit: "0123456789ab" });
  for (const loop of [fetching, asking, registering]) {
    await loop.stop();
    expect(loop.failures.map(String).join()).toBe("");
    expect(loop.done).toBeGreaterThan(5);
  }
  const { body: runs } = await world.request("GET", "/v1/runs");
  expect(runs).toHaveLength(2 + registering.done);

  // The old daemon is still there for what was open, and an idle tunnel serves on.
  expect(await isAlive(before.pid)).toBe(true);
  idle.stream.write(get("/still-here"));
  await eventually("an answer in the old tunnel", () => idle.text.startsWith("HTTP/1.1 200 "));
  await world.record({ run: "kept", url: `https://${host}/still-here`, status: 200 });

  expect((await world.request("DELETE", `/v1/runs/${cut.auth_token}`)).status).toBe(204);
  await eventually("the cut of the old tunnel", () => doomed.isClosed);
  expect(download.isClosed || idle.isClosed).toBe(false);
  for (const response of downloads) response.end("and whole");
  await eventually("the download's end", () => download.text.includes("and whole"));

  idle.stream.destroy();
  download.stream.destroy();
  await eventually("the old daemon's end", () => !world.daemon.isRunning, { timeoutMs: 10_000 });
  expect((await health(world)).pid).toBe(after.pid);
  await stopNext(world);
  const exported = join(world.paths.directory, "audit.jsonl");
  expect((await world.cli(["audit", "export", "--out", exported])).code).toBe(0);
  expect(await world.cli(["audit", "verify", exported])).toMatchObject({ code: 0 });
  expect(await readFile(exported, "utf8")).toContain("run.ended");
});

test("open tunnels of the old daemon do not outlive the new one, whose word they stand under", async () => {
  await using world = await startWorld();
  await using api = await openFakeApi({ authority: world.authority });
  const host = `127.0.0.1:${api.port}`;
  const run = (await world.request("POST", "/v1/runs", { run_id: "r", network_allow: [host] })).body as Registered;
  const tunnel = await secureTunnel(run, host);
  await runNext(world);
  const { pid } = await health(world);
  expect(tunnel.isClosed).toBe(false);
  process.kill(pid, "SIGKILL");
  await eventually("the tunnel's end", () => tunnel.isClosed);
  await eventually("the old daemon's end", () => !world.daemon.isRunning, { timeoutMs: 10_000 });
});

test("a worker of the old daemon that dies is not started again: it would serve a run that was deleted since", async () => {
  await using world = await startWorld();
  await using api = await openFakeApi({ authority: world.authority });
  const host = `127.0.0.1:${api.port}`;
  const register = (run_id: string) => world.request("POST", "/v1/runs", { run_id, network_allow: [host] });
  const [kept, deleted] = [(await register("kept")).body, (await register("deleted")).body] as [Registered, Registered];
  const tunnels = await Promise.all(Array.from({ length: 12 }, () => secureTunnel(kept, host)));
  const { pid: old } = await health(world);
  const workersOf = async (daemon: number) =>
    (await findProcessTree(({ pid }) => pid === daemon)).filter(({ command }) => command.includes("gate-worker"));
  await runNext(world);
  expect((await world.request("DELETE", `/v1/runs/${deleted.auth_token}`)).status).toBe(204);
  expect(await askThrough(deleted, host)).toMatch(/^HTTP\/1\.1 407 /);

  const [victim, ...others] = await workersOf(old);
  expect(others).not.toEqual([]);
  process.kill(victim?.pid ?? 0, "SIGKILL");
  await eventually("its tunnels' end", () => tunnels.some(({ isClosed }) => isClosed));
  const asked = Array.from({ length: 100 }, () => askThrough(deleted, host));
  expect([...new Set((await Promise.all(asked)).map((answer) => answer.slice(0, 12)))]).toEqual(["HTTP/1.1 407"]);
  expect((await workersOf(old)).map(({ pid }) => pid)).toEqual(others.map(({ pid }) => pid));
  expect(api.requests).toEqual([]);
  for (const { stream } of tunnels) stream.destroy();
  await eventually("the old daemon's end", () => !world.daemon.isRunning, { timeoutMs: 10_000 });
  await stopNext(world);
});

test("a sandbox lives through a hand-over: its tunnel under the old daemon, its next one under the new, and a revoked grant is gone from both", async () => {
  await using world = await startWorld();
  await using granted = await openGrantedApi(world);
  const { api, host, grant, policy, value } = granted;
  await using client = await startRawClient(world, { grants: [grant], policy });
  await enterTunnel(client, host);
  expect(await client.step({ send: get(host, "/before") })).toMatchObject({ status: 200 });
  const before = await health(world);
  expect(await runNext(world)).toMatchObject({ code: 0 });
  expect((await health(world)).pid).not.toBe(before.pid);
  expect(await world.liveRuns()).toHaveLength(1);

  expect(await client.step({ send: get(host, "/in-the-old-tunnel") })).toMatchObject({ status: 200 });
  expect(await isAlive(before.pid)).toBe(true);
  await world.record({ url: `https://${host}/in-the-old-tunnel`, status: 200 });
  expect((await world.request("DELETE", `/v1/grants/${grant}`)).status).toBe(204);
  // It was cut before that was answered.
  expect(await client.step({ wait: true })).toEqual({ closed: true });
  await eventually("the old daemon's end", () => !world.daemon.isRunning, { timeoutMs: 10_000 });

  await enterTunnel(client, host);
  expect(await client.step({ send: get(host, "/without") })).toMatchObject({ status: 401 });
  const carried = api.requests.filter(({ headers }) => headers.authorization === `Bearer ${value}`);
  expect(carried.map(({ url }) => url)).toEqual(["/before", "/in-the-old-tunnel"]);
  expect(api.requests.at(-1)?.headers).not.toHaveProperty("authorization");
  await stopNext(world);
});

test("a run that the next version does not serve has no tunnel under the old daemon either: a grant is revoked while nobody there is told of it", async () => {
  await using world = await startWorld();
  await using granted = await openGrantedApi(world);
  const { api, host, grant, policy } = granted;
  await using client = await startRawClient(world, { grants: [grant], policy });
  await enterTunnel(client, host);
  expect(await client.step({ send: get(host, "/before") })).toMatchObject({ status: 200 });
  const path = join(world.paths.stateDir, "runs.json");
  const stored = JSON.parse(await readFile(path, "utf8"));
  const needing = stored.runs.map((run: object) => ({ ...run, needs: ["something_later"] }));
  await writeFile(path, JSON.stringify({ ...stored, runs: needing }), { mode: 0o600 });

  await runNext(world);
  expect((await health(world)).commit).toBe("0123456789ab");
  expect((await world.request("DELETE", `/v1/grants/${grant}`)).status).toBe(204);
  expect(await client.step({ send: get(host, "/after") }).catch(() => ({ closed: true }))).toEqual({ closed: true });
  expect(api.requests.map(({ url }) => url)).toEqual(["/before"]);
  await stopNext(world);
});

test("while the successor cannot put anything on record, nothing is asked under the old daemon either", async () => {
  await using world = await startWorld();
  await using granted = await openGrantedApi(world);
  const { api, host, grant, policy } = granted;
  await using client = await startRawClient(world, { grants: [grant], policy });
  await enterTunnel(client, host);
  expect(await client.step({ send: get(host, "/before") })).toMatchObject({ status: 200 });
  await runNext(world);
  const holder = (await listProcesses()).find(({ command }) => command.includes(join(NEXT, "gate-holder.js")));
  const failing = failCalls(holder?.pid ?? 0, "fdatasync", "EIO");
  let count = 0;
  await eventually("a refused registration", async () => {
    count += 1;
    return (await world.request("POST", "/v1/runs", { run_id: `r${count}` })).status === 503;
  });
  await eventually("a refused request", async () => {
    return (await client.step({ send: get(host, "/before") })).status === 503;
  });
  expect(await client.step({ send: get(host, "/unrecorded") })).toMatchObject({ status: 503 });
  await failing[Symbol.asyncDispose]();
  await eventually("a taken registration", async () => {
    return (await world.request("POST", "/v1/runs", { run_id: "again" })).status === 201;
  });
  await eventually("an answer in the same tunnel", async () => {
    return (await client.step({ send: get(host, "/recorded") })).status === 200;
  });
  expect([...new Set(api.requests.map(({ url }) => url))]).toEqual(["/before", "/recorded"]);
  await stopNext(world);
  await eventually("the old daemon's end", () => !world.daemon.isRunning, { timeoutMs: 10_000 });
});

test("a successor that goes before it took over leaves the old daemon as it was", async () => {
  await using world = await startWorld();
  const { status, body } = await world.request("POST", "/v1/handover");
  expect(status).toBe(200);
  expect((await world.request("POST", "/v1/handover")).body).toMatchObject({ code: "daemon.handing_over" });
  const waiting = world.request("POST", "/v1/runs", { run_id: "meanwhile" });
  const stop = new AbortController();
  const { control } = body as { control: string };
  const follow = streamUnix({ socketPath: control, path: "/follow", signal: stop.signal });
  expect((await follow.next()).done).toBe(false);
  stop.abort();
  expect((await waiting).body).toMatchObject({ code: "daemon.handing_over" });
  await eventually("the old daemon's gate, which reads its state anew", async () => {
    const { status: registered } = await world
      .request("POST", "/v1/runs", { run_id: "meanwhile" })
      .catch(() => ({ status: 0 }));
    return registered === 201;
  });
  expect((await world.request("GET", "/v1/runs")).body).toMatchObject([{ run_id: "meanwhile" }]);
  const second = await world.cli(["up", "--json"]);
  expect(second.stderr).toContain("state");
  expect(second.code).toBe(1);
});

test("what was sent during a hand-over that came to nothing is on record", async () => {
  await using world = await startWorld();
  await using granted = await openGrantedApi(world);
  const { api, host, grant, policy } = granted;
  await using client = await startRawClient(world, { grants: [grant], policy });
  await enterTunnel(client, host);
  expect((await world.request("POST", "/v1/handover")).status).toBe(200);
  expect(await client.step({ send: get(host, "/meanwhile") })).toMatchObject({ status: 200 });
  expect(api.requests.map(({ url }) => url)).toEqual(["/meanwhile"]);
  await eventually(
    "the entry",
    async () => {
      const folder = join(world.paths.stateDir, "audit");
      const names = await readdir(folder);
      const texts = await Promise.all(names.map((name) => readFile(join(folder, name), "utf8")));
      return texts.some((text) => text.includes("/meanwhile"));
    },
    { timeoutMs: 40_000 },
  );
}, 60_000);
