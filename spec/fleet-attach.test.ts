import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import {
  eventually,
  type Fleet,
  openBalancer,
  openPostgres,
  type RunningCommand,
  startFleet,
} from "@gatehouse/testbed";
import { expect, test } from "vitest";

const SHELL = ["sh", "-c"] as const;
const ECHO = "while read line; do echo got $line; echo no $line >&2; done; exit 5";

test("a run on a node has its caller's streams, line by line, and its end is the command's", async () => {
  await using fleet = await startFleet();
  await startNode(fleet);
  const run = hold(fleet, [...SHELL, ECHO]);
  for (const word of ["one", "two"]) {
    run.write(`${word}\n`);
    await run.line(`an answer to ${word}`, (line) => line === `got ${word}`);
  }
  run.endInput();
  expect(await run.finished).toEqual({ code: 5, stdout: "got one\ngot two\n", stderr: "no one\nno two\n" });
  const kinds = (await auditOf(fleet)).filter(({ kind }) => kind === "command.issued").map(({ data }) => data.kind);
  expect(kinds).toEqual(["start_run", "open_run_stream"]);
});

test("what goes through a run's streams arrives whole, however much it is", async () => {
  await using fleet = await startFleet();
  await startNode(fleet);
  const text = Array.from({ length: 400_000 }, (_, index) => `${index}\n`).join("");
  const run = hold(fleet, ["cat"]);
  run.write(text);
  run.endInput();
  const { code, stdout } = await run.finished;
  expect({ code, sha256: hash(stdout) }).toEqual({ code: 0, sha256: hash(text) });
});

test("a detached run is attached to: its input is taken over, and its end is the command's", async () => {
  await using fleet = await startFleet();
  await startNode(fleet);
  const own = ["--state-dir", fleet.path("o")];
  const detached = ["--detach", "--json", "--", ...SHELL, "echo begun; sleep 1000"];
  const { run_id: runId = "" } = await fleet.json(["run", "--node", "n1", ...own, ...detached]);
  const attached = fleet.start(["attach", runId, ...own]);
  await attached.line("what it wrote before", (line) => line === "begun");
  attached.kill("SIGTERM");
  expect((await attached.finished).code).toBe(143);
  expect((await fleet.run(["attach", "nowhere", ...own])).code).toBe(5);
  expect((await fleet.run(["attach", runId, "--state-dir", fleet.path("n1")])).code).toBe(2);
});

test("a signal to the command line reaches the run's command", async () => {
  await using fleet = await startFleet();
  await startNode(fleet);
  const run = hold(fleet, [...SHELL, "trap 'echo stopped; exit 42' INT; echo begun; while :; do sleep 0.05; done"]);
  await run.line("the beginning", (line) => line === "begun");
  run.kill("SIGINT");
  expect(await run.finished).toMatchObject({ code: 42, stdout: "begun\nstopped\n" });
});

test("a server that is killed in the middle loses no line of a run's streams and gives none twice", async () => {
  await using fleet = await startFleet();
  await startNode(fleet);
  const run = hold(fleet, [...SHELL, ECHO]);
  run.write("one\n");
  await run.line("the first answer", (line) => line === "got one");
  await fleet.stopServer("SIGKILL");
  run.write("two\n");
  await fleet.startServer();
  await run.line("the second answer", (line) => line === "got two", 60_000);
  run.write("three\n");
  run.endInput();
  expect(await run.finished).toMatchObject({ code: 5, stdout: "got one\ngot two\ngot three\n" });
});

test("a run is held through whichever replica has its node's stream, and by the other when that one is killed", async () => {
  await using postgres = await openPostgres();
  await using balancer = await openBalancer();
  const url = `https://127.0.0.1:${balancer.port}`;
  await using fleet = await startFleet({ databaseUrl: postgres.url(), url });
  const b = await fleet.startReplica("b");
  balancer.pointTo(fleet.serverPort);
  await startNode(fleet);
  balancer.pointTo(b.port);
  const run = hold(fleet, [...SHELL, ECHO]);
  // The node's stream is at the first one: nothing comes at the second.
  await eventually("the second one is asked", () => balancer.connectionsTo(b.port) > 1, { timeoutMs: 20_000 });
  balancer.pointTo(fleet.serverPort);
  run.write("one\n");
  await run.line("the first answer", (line) => line === "got one");
  balancer.pointTo(b.port);
  await fleet.stopServer("SIGKILL");
  run.write("two\n");
  await run.line("the second answer", (line) => line === "got two", 60_000);
  run.endInput();
  expect(await run.finished).toMatchObject({ code: 5, stdout: "got one\ngot two\n" });
});

/** A run in the foreground, from the operator's machine. */
function hold(fleet: Fleet, command: readonly string[]): RunningCommand {
  return fleet.start(["run", "--node", "n1", "--state-dir", fleet.path("o"), "--", ...command]);
}

async function startNode(fleet: Fleet): Promise<void> {
  await fleet.initOrg();
  await fleet.enrollHost("n1");
  const daemon = fleet.start(["node", "run", "--state-dir", fleet.path("n1"), "--json"]);
  await eventually("the node is connected", () => daemon.stderr.includes("connected to the server"), {
    timeoutMs: 30_000,
  });
}

interface Entry {
  readonly kind: string;
  readonly data: { readonly kind?: string };
}

async function auditOf(fleet: Fleet): Promise<readonly Entry[]> {
  const file = fleet.path("audit.jsonl");
  await fleet.run(["audit", "export", "--out", file, "--state-dir", fleet.path("o")]);
  return (await readFile(file, "utf8"))
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line))
    .filter(({ kind }) => kind !== undefined);
}

function hash(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
