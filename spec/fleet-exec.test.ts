import { mkdir, readdir, readFile } from "node:fs/promises";
import { eventually, type Fleet, type RunningCommand, startFleet } from "@gatehouse/testbed";
import { expect, test } from "vitest";

const ECHO = "while read line; do echo got $line; echo no $line >&2; done; exit 5";

test("a further command in a run on a node has its caller's streams and code, and is on record there and here", async () => {
  await using fleet = await startFleet();
  await startNode(fleet);
  const runId = await detach(fleet, "sleep", "600");
  const held = hold(fleet, runId, "sh", "-c", ECHO);
  for (const word of ["one", "two"]) {
    held.write(`${word}\n`);
    await held.line(`an answer to ${word}`, (line) => line === `got ${word}`);
  }
  held.endInput();
  expect(await held.finished).toEqual({ code: 5, stdout: "got one\ngot two\n", stderr: "no one\nno two\n" });
  const kinds = (await auditOf(fleet)).filter(({ kind }) => kind === "command.issued").map(({ data }) => data.kind);
  expect(kinds).toEqual(["start_run", "exec_in_run", "open_run_stream"]);
  const onNode = await eventually("the node's log is copied", async () => {
    const entries = (await auditOf(fleet, "--node", "n1")).filter(({ kind }) => kind.startsWith("exec."));
    return entries.length === 2 && entries;
  });
  expect(onNode.map(({ kind, data }) => ({ kind, ...data }))).toEqual([
    { kind: "exec.started", run: runId, exec: expect.any(String), program: "sh" },
    { kind: "exec.ended", run: runId, exec: expect.any(String), code: 5 },
  ]);
  expect(onNode[0]?.actor).toContain("ada");
});

test("a signal reaches a further command on a node, and its time ends it", async () => {
  await using fleet = await startFleet();
  await startNode(fleet);
  const runId = await detach(fleet, "sleep", "600");
  const script = "trap 'echo stopped; exit 42' INT; echo begun; while :; do sleep 0.05; done";
  const held = hold(fleet, runId, "sh", "-c", script);
  await held.line("the beginning", (line) => line === "begun");
  held.kill("SIGINT");
  expect(await held.finished).toMatchObject({ code: 42, stdout: "begun\nstopped\n" });
  const late = await fleet.run([
    "exec",
    "--timeout",
    "1s",
    "--state-dir",
    fleet.path("o"),
    runId,
    "--",
    "sleep",
    "600",
  ]);
  expect(late.code).toBe(124);
});

test("a further command goes on while its node's daemon is away, and its caller has all of its output once", async () => {
  await using fleet = await startFleet();
  const daemon = await startNode(fleet);
  const runId = await detach(fleet, "sleep", "600");
  const held = hold(fleet, runId, "sh", "-c", ECHO);
  held.write("one\n");
  await held.line("the first answer", (line) => line === "got one");
  daemon.kill("SIGKILL");
  await daemon.finished;
  held.write("two\n");
  await startDaemon(fleet);
  await held.line("the second answer", (line) => line === "got two", 60_000);
  held.endInput();
  expect(await held.finished).toMatchObject({ code: 5, stdout: "got one\ngot two\n" });
});

test("an operator runs no command in a run that ended, that is none, or that was started on the node itself", async () => {
  await using fleet = await startFleet();
  await startNode(fleet);
  const ended = await detach(fleet, "true");
  await mkdir(fleet.path("workspace"), { recursive: true });
  const place = ["--state-dir", fleet.path("n1"), "--workspace", fleet.path("workspace")];
  const { stdout } = await fleet.run(["run", "-d", ...place, "--", "sleep", "600"]);
  const own = stdout.trim();
  await eventually("the server knows of both", async () => {
    const { runs } = await runsOf(fleet);
    return runs.includes(own) && runs.includes(ended);
  });
  for (const [runId, says] of [
    [ended, "The run is not running"],
    [own, "started on the node itself"],
    ["unknown", "no such run"],
  ] as const) {
    const refused = await fleet.run(["exec", "--state-dir", fleet.path("o"), runId, "--", "touch", "made-by-exec"]);
    expect(refused).toMatchObject({ code: 125, stdout: "" });
    expect(refused.stderr).toContain(says);
  }
  expect((await readdir(fleet.directory, { recursive: true })).filter((name) => name.endsWith("made-by-exec"))).toEqual(
    [],
  );
  // The control: whoever is on the node may.
  const here = await fleet.run(["exec", "--state-dir", fleet.path("n1"), own, "--", "echo", "here"]);
  expect(here).toMatchObject({ code: 0, stdout: "here\n" });
});

function hold(fleet: Fleet, runId: string, ...command: readonly string[]): RunningCommand {
  return fleet.start(["exec", "--state-dir", fleet.path("o"), runId, "--", ...command]);
}

async function detach(fleet: Fleet, ...command: readonly string[]): Promise<string> {
  const options = ["--node", "n1", "--detach", "--state-dir", fleet.path("o")];
  return (await fleet.run(["run", ...options, "--", ...command])).stdout.trim();
}

async function startNode(fleet: Fleet): Promise<RunningCommand> {
  await fleet.initOrg();
  await fleet.enrollHost("n1");
  return startDaemon(fleet);
}

async function startDaemon(fleet: Fleet): Promise<RunningCommand> {
  const daemon = fleet.start(["node", "run", "--state-dir", fleet.path("n1"), "--json"]);
  const options = { timeoutMs: 30_000 };
  await eventually("the node is connected", () => daemon.stderr.includes("connected to the server"), options);
  return daemon;
}

async function runsOf(fleet: Fleet): Promise<{ readonly runs: readonly string[] }> {
  const { stdout } = await fleet.run(["ls", "--json", "--state-dir", fleet.path("o")]);
  return { runs: (JSON.parse(stdout) as { readonly run_id: string }[]).map(({ run_id: runId }) => runId) };
}

interface Entry {
  readonly kind: string;
  readonly actor: string;
  readonly data: Readonly<Record<string, unknown>>;
}

async function auditOf(fleet: Fleet, ...options: readonly string[]): Promise<readonly Entry[]> {
  const file = fleet.path("audit.jsonl");
  await fleet.run(["audit", "export", ...options, "--out", file, "--state-dir", fleet.path("o")]);
  return (await readFile(file, "utf8"))
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line))
    .filter(({ kind }) => kind !== undefined);
}
