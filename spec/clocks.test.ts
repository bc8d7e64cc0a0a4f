import { readFile } from "node:fs/promises";
import {
  eventually,
  type Fleet,
  productCommand,
  type RunningCommand,
  shiftClock,
  startFleet,
} from "@gatehouse/testbed";
import { expect, test } from "vitest";

function startAt(fleet: Fleet, shift: string, args: readonly string[]): RunningCommand {
  return fleet.startOther([...shiftClock(shift), ...productCommand(), ...args]);
}

/** An enrolled host's daemon, until the server greeted it. */
async function join(fleet: Fleet, name: string, shift: string): Promise<RunningCommand> {
  const daemon = startAt(fleet, shift, ["node", "run", "--state-dir", fleet.path(name), "--json"]);
  await daemon.line("the node's ready line", (line) => line.includes('"ready":true'));
  await eventually(
    () => `the connection; it said: ${daemon.stderr.slice(-2_000)}`,
    () => daemon.stderr.includes("connected to the server"),
    { timeoutMs: 30_000 },
  );
  return daemon;
}

function runOn(fleet: Fleet, node: string, script: string) {
  return fleet.run(["run", "--node", node, "--state-dir", fleet.path("o"), "--", "sh", "-c", script]);
}

test.each([
  ["ahead", "+10m"],
  ["behind", "-10m"],
])("a host whose clock is ten minutes %s becomes a node, connects and does what it is told", async (_, shift) => {
  await using fleet = await startFleet();
  await fleet.initOrg();
  const code = fleet.path("code");
  await fleet.operator(["nodes", "enroll-code", "--out", code]);
  const own = ["node", "enroll", "--server", fleet.url, "--code-file", code, "--name", "n1"];
  const claim = startAt(fleet, shift, [...own, "--state-dir", fleet.path("n1"), "--json"]);
  const { fingerprint } = JSON.parse(await claim.line("the fingerprint", (line) => line.includes("fingerprint")));
  await fleet.operator(["nodes", "confirm", "n1", "--fingerprint", fingerprint]);
  await claim.line("the confirmation", (line) => line.includes('"confirmed"'));
  await join(fleet, "n1", shift);
  expect((await runOn(fleet, "n1", "exit 7")).code).toBe(7);
  expect(await fleet.operator(["nodes", "ls"])).toMatchObject([{ name: "n1", liveness: "online" }]);
});

test("a node that comes back when API key and certificates have long expired joins again by its key alone", async () => {
  await using fleet = await startFleet();
  await fleet.initOrg();
  await fleet.enrollHost("n1");
  const before = await readFile(fleet.path("n1", "api.key"), "utf8");
  await fleet.stopServer();
  // A hundred days pass for the server: more than the 90 of an API key, and than the 7 of its own certificate.
  const port = String(fleet.serverPort);
  const own = ["server", "--state-dir", fleet.path("s"), "--listen", `127.0.0.1:${port}`, "--json"];
  const server = startAt(fleet, "+100d", own);
  await server.line("the server's ready line", (line) => line.includes('"ready":true'));
  await join(fleet, "n1", "+0");
  // The expired key opened nothing but the way to a fresh one, sealed to this host.
  expect(await readFile(fleet.path("n1", "api.key"), "utf8")).not.toBe(before);
});
