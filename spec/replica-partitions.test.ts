import { request } from "node:https";
import { eventually, openBalancer, openFaultProxy, openPostgres, startFleet } from "@gatehouse/testbed";
import { expect, test } from "vitest";

const BACK_WITHIN_MS = 30_000;

/** Two servers on one PostgreSQL, of which the first reaches it by a proxy, behind a balancer that a test points. */
async function startReplicas() {
  const stack = new AsyncDisposableStack();
  const postgres = stack.use(await openPostgres());
  const toDatabase = stack.use(await openFaultProxy(() => ({ path: postgres.socketPath })));
  const balancer = stack.use(await openBalancer());
  const url = `https://127.0.0.1:${balancer.port}`;
  const fleet = stack.use(await startFleet({ databaseUrl: postgres.urlBy(toDatabase.port), url }));
  const b = await fleet.startReplica("b", postgres.url());
  balancer.pointTo(fleet.serverPort);
  return { toDatabase, balancer, fleet, b, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

/** What a balancer asks; -1: nothing came in time. */
function readiness(port: number): Promise<number> {
  return new Promise((resolve) => {
    const options = { port, path: "/readyz", rejectUnauthorized: false, timeout: 5_000 };
    const asked = request(options, (response) => {
      response.resume();
      resolve(response.statusCode ?? -1);
    });
    asked.on("error", () => resolve(-1));
    asked.on("timeout", () => asked.destroy());
    asked.end();
  });
}

test("a server that is cut from its database gives its nodes away, does nothing by what it knew, and recovers", async () => {
  await using world = await startReplicas();
  const { fleet, balancer, toDatabase, b } = world;
  const a = { port: fleet.serverPort };
  await fleet.initOrg();
  await fleet.enrollHost("n1");
  const node = fleet.start(["node", "run", "--state-dir", fleet.path("n1"), "--json"]);
  const isConnected = () => node.stderr.includes("connected to the server");
  await eventually("the node is connected", isConnected, { timeoutMs: BACK_WITHIN_MS });
  const own = ["--state-dir", fleet.path("o")];
  const runOnNode = () => fleet.start(["run", "--node", "n1", ...own, "--detach", "--json", "--", "true"]);
  const outcome = async (asked: ReturnType<typeof runOnNode>) => {
    const line = await asked.line("the outcome", (text) => text.includes("run_id"), BACK_WITHIN_MS);
    return (JSON.parse(line) as { run_id: string }).run_id;
  };
  balancer.pointTo(b.port);

  // One command is on its way at the node when its server loses the database, one is given while it has none.
  const first = runOnNode();
  const isAccepted = () => node.stderr.includes("command accepted");
  await eventually("the node began", isAccepted, { timeoutMs: BACK_WITHIN_MS, everyMs: 2 });
  toDatabase.cut("both");
  const second = runOnNode();
  expect(await readiness(a.port)).toBe(503);
  const done = [await outcome(first), await outcome(second)];
  expect(await readiness(b.port)).toBe(200);
  const runs = (await fleet.json(["ls", "--state-dir", fleet.path("n1")])) as readonly { readonly run_id: string }[];
  expect(runs.map(({ run_id }) => run_id).sort()).toEqual(done.sort());
  expect(node.stderr.split("command accepted")).toHaveLength(3);

  toDatabase.heal();
  await eventually("the first one is ready", async () => (await readiness(a.port)) === 200, {
    timeoutMs: BACK_WITHIN_MS,
  });
  balancer.pointTo(a.port);
  expect(await fleet.operator(["nodes", "ls"])).toMatchObject([{ name: "n1", connected: true }]);
});
