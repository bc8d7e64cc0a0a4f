import { readFile, rm } from "node:fs/promises";
import { eventually, openBalancer, openPostgres, startFleet } from "@gatehouse/testbed";
import { expect, test } from "vitest";

/** Two servers on one PostgreSQL behind a balancer that a test points. */
async function startReplicas() {
  const stack = new AsyncDisposableStack();
  const postgres = stack.use(await openPostgres());
  const balancer = stack.use(await openBalancer());
  const url = `https://127.0.0.1:${balancer.port}`;
  const fleet = stack.use(await startFleet({ databaseUrl: postgres.url(), url }));
  const b = await fleet.startReplica("b");
  balancer.pointTo(fleet.serverPort);
  return { postgres, balancer, fleet, b, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

test("a host that waits at one replica hears that it was confirmed at another", async () => {
  await using world = await startReplicas();
  const { fleet, balancer, b } = world;
  await fleet.initOrg();
  const code = fleet.path("code");
  await fleet.operator(["nodes", "enroll-code", "--out", code]);
  const before = balancer.connectionsTo(fleet.serverPort);
  const claim = fleet.claim("n1", code);
  const { fingerprint } = JSON.parse(await claim.line("the fingerprint", (line) => line.includes("fingerprint")));
  await eventually("the host waits", () => balancer.connectionsTo(fleet.serverPort) === before + 2);
  balancer.pointTo(b.port);
  await fleet.operator(["nodes", "confirm", "n1", "--fingerprint", fingerprint]);
  await claim.line("the confirmation", (line) => line.includes('"confirmed"'));
  expect(balancer.connectionsTo(b.port)).toBe(1);
});

test("the replica that a host waits at is killed: the host goes on at the other", async () => {
  await using world = await startReplicas();
  const { fleet, balancer, b } = world;
  await fleet.initOrg();
  const code = fleet.path("code");
  await fleet.operator(["nodes", "enroll-code", "--out", code]);
  const claim = fleet.claim("n1", code);
  const { fingerprint } = JSON.parse(await claim.line("the fingerprint", (line) => line.includes("fingerprint")));
  balancer.pointTo(b.port);
  await fleet.stopServer("SIGKILL");
  await fleet.operator(["nodes", "confirm", "n1", "--fingerprint", fingerprint]);
  await claim.line("the confirmation", (line) => line.includes('"confirmed"'));
  await fleet.json(["node", "refresh", "--state-dir", fleet.path("n1")]);
});

test("the replica that holds a node's stream is killed before it hears that a command of the other was done: it is done once", async () => {
  await using world = await startReplicas();
  const { fleet, balancer, b } = world;
  await fleet.initOrg();
  await fleet.enrollHost("n1");
  const node = fleet.start(["node", "run", "--state-dir", fleet.path("n1"), "--json"]);
  await eventually("the node is connected", () => node.stderr.includes("connected to the server"), {
    timeoutMs: 30_000,
  });
  balancer.pointTo(b.port);
  balancer.muteTowards(fleet.serverPort);
  const own = ["--state-dir", fleet.path("o"), "--detach", "--json"];
  const asked = fleet.start(["run", "--node", "n1", ...own, "--", "sleep", "300"]);
  const runs = () => fleet.json(["ls", "--state-dir", fleet.path("n1")]);
  await eventually("the node did it", async () => (await runs()).length > 0, { timeoutMs: 30_000 });
  expect(asked.isRunning).toBe(true);
  await fleet.stopServer("SIGKILL");
  const { run_id: runId } = JSON.parse(await asked.line("the outcome", (line) => line.includes("run_id")));
  expect((await asked.finished).code).toBe(0);
  expect(await runs()).toMatchObject([{ run_id: runId, state: "running" }]);
  expect(await fleet.operator(["stop", runId])).toEqual({ stopped: [runId] });
});

test("replica and daemon are killed in the middle of a command: the other hears that nobody knows what came of it", async () => {
  await using world = await startReplicas();
  const { fleet, balancer, b } = world;
  await fleet.initOrg();
  await fleet.enrollHost("n1");
  const start = async () => {
    const node = fleet.start(["node", "run", "--state-dir", fleet.path("n1"), "--json"]);
    const isConnected = () => node.stderr.includes("connected to the server");
    await eventually("the node is connected", isConnected, { timeoutMs: 30_000 });
    return node;
  };
  const node = await start();
  const own = ["--state-dir", fleet.path("o")];
  await fleet.run(["run", "--node", "n1", ...own, "--detach", "--", "sleep", "300"]);
  balancer.pointTo(b.port);
  const drain = fleet.start(["nodes", "drain", "n1", "--within", "5m", ...own]);
  const isBegun = () => node.stderr.split("command accepted").length > 2;
  await eventually("the node began", isBegun, { timeoutMs: 30_000 });
  await fleet.stopServer("SIGKILL");
  node.kill("SIGKILL");
  await node.finished;
  const again = await start();
  expect(await drain.finished).toMatchObject({ code: 1, stderr: expect.stringContaining("outcome unknown") });
  expect(again.stderr).not.toContain("command accepted");
  const [run] = await fleet.json(["ls", "--state-dir", fleet.path("n1")]);
  expect(run).toMatchObject({ state: "running" });
  await fleet.json(["stop", run.run_id, "--state-dir", fleet.path("n1")]);
});

test("a server with other keys does not start on the database of another; nothing there changes", async () => {
  await using world = await startReplicas();
  const { fleet, postgres } = world;
  const before = await postgres.sql("select * from server_facts where name <> 'probe' order by name");
  const own = ["--database-url-file", fleet.path("s-database-url"), "--listen", "127.0.0.1:0", "--json"];
  const stranger = await fleet.run(["server", "--state-dir", fleet.path("stranger"), ...own]);
  expect(stranger).toMatchObject({ code: 2, stderr: expect.stringContaining("belongs to a server with other keys") });
  await rm(fleet.path("b", "server", "keys", "mac.key"));
  const half = await fleet.run(["server", "--state-dir", fleet.path("b"), ...own]);
  expect(half.code).not.toBe(0);
  expect(await postgres.sql("select * from server_facts where name <> 'probe' order by name")).toBe(before);
});

test("PostgreSQL is killed under a server: calls say so, and work again when it is back", async () => {
  await using postgres = await openPostgres({ fsync: true });
  await using fleet = await startFleet({ databaseUrl: postgres.url() });
  await fleet.initOrg();
  const { nodeId } = await fleet.enrollHost("n1");
  await postgres.stop("SIGKILL");
  const away = await fleet.run(["nodes", "ls", "--state-dir", fleet.path("o")]);
  expect(away).toMatchObject({ code: 6, stderr: expect.stringContaining("The database cannot be reached.") });
  await postgres.start();
  expect(await fleet.operator(["nodes", "ls"])).toMatchObject([{ id: nodeId }]);
  await fleet.enrollHost("n2");
  expect(await readFile(fleet.path("n2", "node.json"), "utf8")).toContain(fleet.url);
});
