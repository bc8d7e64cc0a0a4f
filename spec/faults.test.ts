import {
  eventually,
  findInFiles,
  openFakeApi,
  type RunningCommand,
  startWorld,
  stretchedLimit,
  type World,
} from "@gatehouse/testbed";
import { expect, test } from "vitest";
import { type GrantedApi, openGrantedApi } from "./granted-api.ts";

const BACK_WITHIN_MS = 2_000;
/** What curl calls a connection that nobody accepted. */
const CURL_REFUSED = 7;

/** One fetch of the loop, as it was printed. */
interface Fetch {
  readonly exit: number;
  readonly connectStatus: number;
  readonly status: number;
  readonly seconds: number;
}

/** Fetches an allowed and a denied host every 50 ms, printing `a` and `d` lines. */
function startLoop(world: World, granted: GrantedApi, denied: string): RunningCommand {
  const curl = (mark: string, url: string) =>
    `curl -sS -o /dev/null -m 20 -w '${mark} %{exitcode} %{http_connect} %{http_code} %{time_total}\\n' ${url} 2>/dev/null`;
  const script = `while :; do ${curl("a", `${granted.origin}/loop`)}; ${curl("d", `https://${denied}/`)}; sleep 0.05; done`;
  return world.startRun(["sh", "-c", script], { grants: [granted.grant], policy: granted.policy });
}

function fetches(loop: RunningCommand, mark: "a" | "d"): readonly Fetch[] {
  return loop.lines
    .filter((line) => line.startsWith(`${mark} `))
    .map((line) => {
      const [exit = 0, connectStatus = 0, status = 0, seconds = 0] = line.slice(2).split(" ").map(Number);
      return { exit, connectStatus, status, seconds };
    });
}

/** Waits for `count` more good answers and returns how long the first of them took to come, in milliseconds. */
async function answersAfter(loop: RunningCommand, seen: number, since: number): Promise<number> {
  const good = () =>
    fetches(loop, "a")
      .slice(seen)
      .filter(({ status }) => status === 200).length;
  await eventually("an answer after the fault", () => good() > 0, { everyMs: 5 });
  const tookMs = performance.now() - since;
  await eventually("traffic as before", () => good() >= 5);
  return tookMs;
}

/** What must hold of the whole loop, whatever was killed in it. */
function expectFaithful(loop: RunningCommand, { api, value }: GrantedApi): void {
  const allowed = fetches(loop, "a");
  const refused = fetches(loop, "d");
  expect(allowed.filter(({ exit }) => exit === CURL_REFUSED)).toEqual([]);
  expect(refused.filter(({ exit }) => exit === CURL_REFUSED)).toEqual([]);
  // A request that was under way when its process died may break; every one that was answered was answered rightly.
  expect(allowed.filter(({ exit, status }) => exit === 0 && status !== 200)).toEqual([]);
  expect(allowed.filter(({ connectStatus }) => ![0, 200].includes(connectStatus))).toEqual([]);
  expect(refused.filter(({ connectStatus }) => ![0, 403].includes(connectStatus))).toEqual([]);
  expect(refused.filter(({ connectStatus }) => connectStatus === 403).length).toBeGreaterThan(5);
  expect(api.requests.filter(({ headers }) => headers.authorization !== `Bearer ${value}`)).toEqual([]);
}

for (const role of ["holder", "worker"] as const) {
  test(`kill -9 of the gate's ${role} during traffic: waits, no refused connection, the credential afterwards`, async () => {
    await using world = await startWorld();
    await using granted = await openGrantedApi(world);
    await using denied = await openFakeApi({ authority: world.authority });
    const loop = startLoop(world, granted, `denied.example.test:${denied.port}`);
    for (let round = 0; round < 3; round += 1) {
      await eventually(
        "traffic",
        () => fetches(loop, "a").filter(({ status }) => status === 200).length > 3 * (round + 1),
      );
      const before = await world.pids(role);
      await world.killGate(role);
      const since = performance.now();
      const tookMs = await answersAfter(loop, fetches(loop, "a").length, since);
      expect(tookMs).toBeLessThan(await stretchedLimit(BACK_WITHIN_MS));
      await eventually(`a new ${role}`, async () => {
        const now = await world.pids(role);
        return now.length === before.length && now.some((pid) => !before.includes(pid));
      });
      expect(await findInFiles(world.paths.directory, granted.value)).toEqual([]);
    }
    expectFaithful(loop, granted);
    expect(denied.connections).toBe(0);
  });
}

test("kill -9 of the daemon during traffic: the run lives on, waits, and is served again after the restart", async () => {
  await using world = await startWorld();
  await using granted = await openGrantedApi(world);
  await using denied = await openFakeApi({ authority: world.authority });
  const loop = startLoop(world, granted, `denied.example.test:${denied.port}`);
  for (let round = 0; round < 2; round += 1) {
    await eventually(
      "traffic",
      () => fetches(loop, "a").filter(({ status }) => status === 200).length > 3 * (round + 1),
    );
    await world.daemon.kill();
    expect(await findInFiles(world.paths.directory, granted.value)).toEqual([]);
    // The gate's processes leave with their daemon; the sandbox and its keeper stay.
    const timeoutMs = await stretchedLimit(2_000);
    await eventually("the gate's end", async () => (await world.pids("holder")).length === 0, { timeoutMs });
    await eventually("the workers' end", async () => (await world.pids("worker")).length === 0, { timeoutMs });
    expect(loop.isRunning).toBe(true);
    const seen = fetches(loop, "a").length;
    const since = performance.now();
    await world.daemon.start();
    const tookMs = await answersAfter(loop, seen, since);
    expect(tookMs).toBeLessThan(await stretchedLimit(BACK_WITHIN_MS));
  }
  expect(await world.liveRuns()).toHaveLength(1);
  expectFaithful(loop, granted);
  expect(denied.connections).toBe(0);
  loop.kill("SIGTERM");
  await loop.finished;
  await eventually("the run's end in the list", async () => (await world.liveRuns()).length === 0);
});

test("an orderly stop of the daemon cuts no request: what has come is answered, what comes later waits", async () => {
  await using world = await startWorld();
  await using granted = await openGrantedApi(world);
  const curl = `curl -sS -o /dev/null -m 20 -w 'a %{exitcode} %{http_connect} %{http_code} %{time_total}\\n' ${granted.origin}/loop`;
  const script = `for loop in 1 2 3 4; do (while :; do ${curl}; done) & done; wait`;
  const loops = world.startRun(["sh", "-c", script], { grants: [granted.grant], policy: granted.policy });
  for (let round = 0; round < 4; round += 1) {
    const seen = fetches(loops, "a").length;
    await eventually("traffic", () => fetches(loops, "a").length > seen + 20, { timeoutMs: 30_000 });
    await world.daemon.stop();
    await world.daemon.start();
  }
  const seen = fetches(loops, "a").length;
  await eventually("traffic as before", () => fetches(loops, "a").length > seen + 20, { timeoutMs: 30_000 });
  expect(fetches(loops, "a").filter(({ exit, status }) => exit !== 0 || status !== 200)).toEqual([]);
});

test("a run that ended while the daemon was dead is over after its restart, and its token with it", async () => {
  await using world = await startWorld();
  await using granted = await openGrantedApi(world);
  const waiting = world.startRun(["sh", "-c", "echo up; read -r _; exit 7"], { grants: [granted.grant] });
  await waiting.line("the run's start", (line) => line === "up");
  await world.daemon.kill();
  waiting.endInput();
  expect((await waiting.finished).code).toBe(7);
  await world.daemon.start();
  await eventually(
    "the run's end",
    async () => ((await world.request("GET", "/v1/runs")).body as unknown[]).length === 0,
  );
  expect(await world.cliJson(["ls"])).toEqual([]);
});

test("kill -9 of the command line takes its foreground run along", async () => {
  await using world = await startWorld();
  const waiting = world.startRun(["sh", "-c", "trap '' TERM HUP INT; echo up; sleep 600"]);
  await waiting.line("the run's start", (line) => line === "up");
  waiting.kill("SIGKILL");
  await eventually("the run's end", async () => (await world.liveRuns()).length === 0);
  expect(await world.sandboxPids()).toEqual([]);
  expect(await world.pids("keeper")).toEqual([]);
});

test("a registered run survives kill -9 of the daemon with its rules and its credential", async () => {
  await using world = await startWorld();
  await using granted = await openGrantedApi(world);
  const registered = await world.request("POST", "/v1/runs", {
    run_id: "outside-1",
    credentials: [{ host: granted.host, header: "Authorization", value: `Bearer ${granted.value}` }],
    network_allow: [granted.host],
  });
  expect(registered.status).toBe(201);
  const { auth_token } = registered.body as { readonly auth_token: string };
  await world.daemon.kill();
  expect(await findInFiles(world.paths.directory, granted.value)).toEqual([]);
  expect(await findInFiles(world.paths.stateDir, auth_token)).toEqual([]);
  await world.daemon.start();
  expect((await world.request("GET", "/v1/runs")).body).toMatchObject([{ run_id: "outside-1" }]);
  expect(JSON.stringify((await world.request("GET", "/v1/runs")).body)).not.toContain(auth_token);
  expect((await world.request("DELETE", `/v1/runs/${auth_token}`)).status).toBe(204);
  const again = await world.request("POST", "/v1/runs", { run_id: "outside-1", auth_token });
  expect(again).toMatchObject({ status: 410, body: { code: "runs.token_revoked" } });
});
