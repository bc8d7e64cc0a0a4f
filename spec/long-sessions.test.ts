import { eventually, movableClock, openFaultProxy, productCommand, startFleet } from "@gatehouse/testbed";
import { expect, test } from "vitest";

const IS_SOAK = process.env.TESTBED_SOAK === "1";
const NOTICED_WITHIN_MS = 30_000;
const SHELL = ["sh", "-c"] as const;

test("a node renews its session while it works: the same stream, the same run's streams, past the end of the first one", async () => {
  await using fleet = await startFleet();
  await fleet.initOrg();
  await fleet.enrollHost("n1");
  await fleet.stopServer();
  const clock = movableClock(fleet.path("clock"));
  const listen = ["--listen", `127.0.0.1:${fleet.serverPort}`, "--json"];
  const own = ["server", "--state-dir", fleet.path("s"), ...listen];
  const server = fleet.startOther([...clock.inside, ...productCommand(), ...own]);
  await server.line("the server's ready line", (line) => line.includes('"ready":true'));
  const node = fleet.start(["node", "run", "--state-dir", fleet.path("n1"), "--json"]);
  const connections = () => node.stderr.split("connected to the server").length - 1;
  await eventually("the node is connected", () => connections() === 1, { timeoutMs: 30_000 });
  const expiry = async () => {
    const status = await fleet.json(["node", "status", "--state-dir", fleet.path("n1")]);
    return Date.parse(status.session_expires_at);
  };
  const first = await expiry();
  const echo = "while read line; do echo got $line; done; exit 5";
  const run = fleet.start(["run", "--node", "n1", "--state-dir", fleet.path("o"), "--", ...SHELL, echo]);
  run.write("one\n");
  await run.line("the first answer", (line) => line === "got one");

  // Eleven of fifteen minutes: with its next greeting the server says that a third is left.
  clock.move("+11m");
  await eventually("the session is renewed", async () => (await expiry()) > first, { timeoutMs: 40_000, everyMs: 500 });
  clock.move("+16m");
  run.write("two\n");
  await run.line("the second answer", (line) => line === "got two");
  run.endInput();
  expect((await run.finished).code).toBe(5);
  const again = await fleet.run(["run", "--node", "n1", "--state-dir", fleet.path("o"), "--", ...SHELL, "exit 7"]);
  expect(again.code).toBe(7);
  expect(connections()).toBe(1);
  expect(node.stderr).not.toContain("control stream ended");
});

// In real time, so in the long form alone: `silent-peers.test.ts` shows the same in a fraction of a second.
if (IS_SOAK)
  test("a server that vanished is noticed by its node, and a node by its server, within thirty seconds", async () => {
    let port = 0;
    await using proxy = await openFaultProxy(() => ({ host: "127.0.0.1", port }));
    await using fleet = await startFleet({ url: `https://127.0.0.1:${proxy.port}` });
    port = fleet.serverPort;
    await fleet.initOrg();
    await fleet.enrollHost("n1");
    const node = fleet.start(["node", "run", "--state-dir", fleet.path("n1"), "--json"]);
    const connections = () => node.stderr.split("connected to the server").length - 1;
    await eventually("the node is connected", () => connections() === 1, { timeoutMs: 30_000 });
    proxy.vanish();
    await eventually("the node is back", () => connections() === 2, { timeoutMs: NOTICED_WITHIN_MS });
    const isConnected = async () => {
      const [row] = (await fleet.operator(["nodes", "ls"])) as unknown as readonly { readonly connected: boolean }[];
      return row?.connected === true;
    };
    expect(await isConnected()).toBe(true);
    node.kill("SIGSTOP");
    proxy.vanish();
    const isGone = async () => !(await isConnected());
    await eventually("the server knows", isGone, { timeoutMs: NOTICED_WITHIN_MS, everyMs: 500 });
    node.kill("SIGCONT");
    await eventually("the node is back again", () => connections() === 3, { timeoutMs: NOTICED_WITHIN_MS });
  }, 240_000);
