import { readFile } from "node:fs/promises";
import { eventually, type Fleet, startFleet } from "@gatehouse/testbed";
import { expect, test } from "vitest";

interface NodeRow {
  readonly id: string;
  readonly name: string;
  readonly connected: boolean;
}

/** An enrolled host with its daemon, online. */
async function startNode(fleet: Fleet, name: string) {
  const daemon = fleet.start(["node", "run", "--state-dir", fleet.path(name), "--json"]);
  await daemon.line("the node's ready line", (line) => line.includes('"ready":true'));
  const node = await eventually("the node is online", async () => {
    const nodes = (await fleet.operator(["nodes", "ls"])) as readonly NodeRow[];
    return nodes.find((one) => one.name === name && one.connected);
  });
  return { daemon, node };
}

async function exported(fleet: Fleet, node: string): Promise<string> {
  const out = fleet.path("node.jsonl");
  const { code } = await fleet.run(["audit", "export", "--node", node, "--out", out, "--state-dir", fleet.path("o")]);
  return code === 0 ? readFile(out, "utf8") : "";
}

/** Whether samples of this figure, and of no other, are read from the server. */
async function measured(fleet: Fleet, figure: string): Promise<boolean> {
  const asked = ["nodes", "telemetry", "n1", "--since", "10m", "--name", figure, "--json"];
  const { stdout } = await fleet.run([...asked, "--state-dir", fleet.path("o")]);
  const samples = stdout.split("\n").filter((line) => line !== "");
  return samples.length > 0 && samples.every((line) => JSON.parse(line).name === figure);
}

test("what a node's runs do and what its log holds reach the operator, also when the node or the server was killed", async () => {
  await using fleet = await startFleet();
  await fleet.initOrg();
  await fleet.enrollHost("n1");
  const { daemon, node } = await startNode(fleet, "n1");
  const watching = fleet.start(["nodes", "events", "--follow", "--json", "--state-dir", fleet.path("o")]);
  const run = ["run", "--node", "n1", "--state-dir", fleet.path("o"), "--", "sh", "-c", "exit 7"];
  expect((await fleet.run(run)).code).toBe(7);
  const exit = await watching.line("the run's end", (line) => line.includes('"run.exited"'));
  expect(JSON.parse(exit)).toMatchObject({ node: node.id, data: { exit_code: 7, exposed: false } });
  watching.kill("SIGTERM");
  expect((await watching.finished).code).toBe(0);
  await eventually(
    "the copy of the node's log",
    async () => (await exported(fleet, "n1")).includes('"run.registered"') || undefined,
  );
  await eventually("what the node measured", () => measured(fleet, "gate.requests_denied"), { timeoutMs: 30_000 });
  daemon.kill("SIGKILL");
  await daemon.finished;
  await fleet.stopServer("SIGKILL");
  await fleet.startServer();
  const before = (await exported(fleet, "n1")).split("\n").length;
  await startNode(fleet, "n1");
  await eventually(
    "the log goes on",
    async () => (await exported(fleet, "n1")).split("\n").length > before || undefined,
  );
  const verified = await fleet.json(["audit", "verify", fleet.path("node.jsonl")]);
  expect(verified).toMatchObject({ ok: true, unprotected: 0 });
  await fleet.operator(["nodes", "revoke", "n1"]);
  expect(await exported(fleet, node.id)).toContain('"run.registered"');
});
