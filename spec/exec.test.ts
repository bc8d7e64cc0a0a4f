import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { eventually, isAlive, runProcess, startWorld, type World } from "@gatehouse/testbed";
import { afterAll, beforeAll, expect, test } from "vitest";
import { personAtTerminal, TRY_A_SHELL } from "./person-at-terminal.ts";

let world: World;

beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world[Symbol.asyncDispose]());

test.each(["bubblewrap", "unshare"])(
  "a further command in a run by %s has streams, code and variables",
  async (driver) => {
    const runId = await detach(["sh", "-c", "env | sort; echo listed; exec sleep 600"], "--driver", driver);
    const script = 'cat; echo bad >&2; echo "$1"; exit 7';
    const done = await world.cli(["exec", runId, "--", "sh", "-c", script, "sh", "two words"], { stdin: "hello\n" });
    expect(done).toEqual({ code: 7, stdout: "hello\ntwo words\n", stderr: "bad\n" });
    const own = await eventually("the run's variables", async () => {
      const { stdout } = await world.cli(["logs", runId]);
      return stdout.includes("listed\n") && stdout.replace("listed\n", "");
    });
    expect((await exec(runId, "sh", "-c", "env | sort")).stdout).toBe(own);
    expect(own).toContain("HTTPS_PROXY=http://run:");
    await world.cli(["stop", runId]);
  },
);

test("a further command begins where it is told to, with variables of its own, and its output loses nothing", async () => {
  const runId = await detach(["sleep", "600"]);
  const inside = await world.cli([
    "exec",
    "--env",
    "MINE=1",
    "-w",
    "/usr/share",
    runId,
    "--",
    "sh",
    "-c",
    "pwd; echo $MINE",
  ]);
  expect(inside.stdout).toBe("/usr/share\n1\n");
  expect((await exec(runId, "pwd")).stdout).toBe(`${world.paths.workspace}\n`);
  expect(await world.cli(["exec", "-w", "none", runId, "--", "true"])).toMatchObject({ code: 126 });
  const text = Array.from({ length: 400_000 }, (_, index) => `${index}\n`).join("");
  const { stdout } = await world.cli(["exec", runId, "--", "cat"], { stdin: text });
  expect(hash(stdout)).toBe(hash(text));
  await world.cli(["stop", runId]);
});

test("a further command has the gate of its run, and what the run may not reach it may not", async () => {
  const runId = await detach(["sleep", "600"]);
  const ask =
    "curl -s -o /dev/null -w '%{http_code}' http://refused.example/; echo; curl -s --noproxy '*' --max-time 2 http://192.0.2.1/ || echo none";
  expect((await exec(runId, "sh", "-c", ask)).stdout).toBe("403\nnone\n");
  const { stdout } = await world.cli(["trace", runId, "--json"]);
  expect(stdout).toContain("refused.example");
  await world.cli(["stop", runId]);
});

test("a further command ends after its time, with its caller, with its run and with the run's keeper", async () => {
  const runId = await detach(["sleep", "600"]);
  expect((await world.cli(["exec", "--timeout", "1s", runId, "--", "sleep", "600"])).code).toBe(124);
  const left = world.startCli(["exec", runId, "--", "sh", "-c", "echo begun; exec sleep 611"]);
  await left.line("the beginning", (line) => line === "begun");
  const pid = await processOf("sleep", "611");
  left.kill("SIGKILL");
  await eventually("it ends with its caller", async () => !(await isAlive(pid)));
  const stopped = world.startCli([
    "exec",
    runId,
    "--",
    "sh",
    "-c",
    "trap 'exit 9' INT; echo begun; while :; do sleep 0.05; done",
  ]);
  await stopped.line("the beginning", (line) => line === "begun");
  stopped.kill("SIGINT");
  expect(await stopped.finished).toMatchObject({ code: 9 });
  const last = world.startCli(["exec", runId, "--", "sh", "-c", "echo begun; exec sleep 612"]);
  await last.line("the beginning", (line) => line === "begun");
  await world.cli(["stop", runId]);
  expect(await last.finished).toMatchObject({ code: 137 });

  const other = await detach(["sleep", "613"]);
  const orphan = world.startCli(["exec", other, "--", "sh", "-c", "echo begun; exec sleep 614"]);
  await orphan.line("the beginning", (line) => line === "begun");
  const [run, further] = [await processOf("sleep", "613"), await processOf("sleep", "614")];
  process.kill(await keeperOf(other), "SIGKILL");
  await eventually("both end with the keeper", async () => !(await isAlive(run)) && !(await isAlive(further)));
  expect(await orphan.finished).toMatchObject({ code: 137 });
  const sockets = join(world.paths.stateDir, "keepers");
  await eventually("nothing is left of them", async () => (await readdir(sockets)).length === 0);
});

test("no command is run in a run that ended, that nobody knows, or that is in no sandbox", async () => {
  const ended = await detach(["true"]);
  await eventually("it ends", async () => (await world.cli(["ls", "--json"])).stdout.includes('"exited"'));
  const exposed = await detach(["sleep", "600"], "--driver", "process");
  const before = await startedOnRecord();
  for (const [runId, says] of [
    [ended, "The run is not running. It has ended with code 0."],
    ["unknown", "no such run"],
    [exposed, "no sandbox to enter"],
  ] as const) {
    const refused = await world.cli(["exec", runId, "--", "touch", "made"]);
    expect(refused).toMatchObject({ code: 125, stdout: "" });
    expect(refused.stderr).toContain(says);
  }
  expect(await world.cliJson(["stop", ended])).toEqual({ stopped: [], ended: [ended] });
  expect((await world.cli(["stop", ended])).stdout).toBe(`${ended} had ended before, with code 0.\n`);
  expect(await startedOnRecord()).toBe(before);
  expect(await readdir(world.paths.workspace)).not.toContain("made");
  expect((await world.cli(["exec", exposed])).code).toBe(125);
  await world.cli(["stop", exposed]);
});

test("what is run in a run is on record, with its program and without its arguments", async () => {
  const runId = await detach(["sleep", "600"]);
  await exec(runId, "sh", "-c", ": said-to-nobody");
  const file = join(world.paths.directory, "audit.jsonl");
  await world.cli(["audit", "export", "--out", file]);
  const text = await readFile(file, "utf8");
  const entries = text.split("\n").filter((line) => line.includes(runId) && line.includes('"exec.'));
  expect(entries.map((line) => JSON.parse(line)).map(({ kind, actor, data }) => ({ kind, actor, ...data }))).toEqual([
    { kind: "exec.started", actor: "local", run: runId, exec: expect.any(String), program: "sh" },
    { kind: "exec.ended", actor: "node", run: runId, exec: expect.any(String), code: 0 },
  ]);
  expect(text).not.toContain("said-to-nobody");
  await world.cli(["stop", runId]);
});

test.each(["bubblewrap", "unshare"])(
  "at a terminal a further command in a run by %s has one, with its size and its keys",
  async (driver) => {
    const runId = await detach(["sleep", "600"], "--driver", driver);
    const state = ["--state-dir", world.paths.stateDir];
    const asked = ["exec", "--env", "PS1=$ ", ...state, runId, "--", "sh"];
    const [program = "", ...args] = personAtTerminal(TRY_A_SHELL, asked);
    const how = { env: { ...world.environment, TERM: "xterm" }, cwd: world.paths.workspace };
    const { stdout, stderr } = await runProcess(program, args, how);
    expect({ stdout, stderr }).toEqual({ stdout: "5 as it was\n", stderr: "" });
    await world.cli(["stop", runId]);
  },
);

async function detach(command: readonly string[], ...options: readonly string[]): Promise<string> {
  const { stdout } = await world.cli(["run", "-d", ...options, "--", ...command]);
  return stdout.trim();
}

function exec(runId: string, ...command: readonly string[]) {
  return world.cli(["exec", runId, "--", ...command]);
}

async function startedOnRecord(): Promise<number> {
  const file = join(world.paths.directory, "started.jsonl");
  await world.cli(["audit", "export", "--out", file]);
  return (await readFile(file, "utf8")).split('"exec.started"').length;
}

function processOf(...argv: readonly string[]): Promise<number> {
  return eventually(`a process ${argv.join(" ")}`, async () => {
    for (const name of await readdir("/proc")) {
      const own = /^\d+$/.test(name) ? await readFile(`/proc/${name}/cmdline`, "utf8").catch(() => "") : "";
      if (own === argv.map((word) => `${word}\0`).join("")) return Number(name);
    }
    return undefined;
  });
}

/** The process that holds the run's directory in its command line. */
async function keeperOf(runId: string): Promise<number> {
  const name = createHash("sha256").update(runId).digest("hex").slice(0, 16);
  for (const pid of await readdir("/proc")) {
    const own = /^\d+$/.test(pid) ? await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "") : "";
    if (own.includes("keeper.js") && own.includes(name)) return Number(pid);
  }
  throw new Error("the run has no keeper");
}

function hash(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
