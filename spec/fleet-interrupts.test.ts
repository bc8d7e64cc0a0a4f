import { readFileSync } from "node:fs";
import { eventually, type Fleet, type RunningCommand, startFleet } from "@gatehouse/testbed";
import { afterAll, beforeAll, expect, test } from "vitest";
import { personAtTerminal } from "./person-at-terminal.ts";

let fleet: Fleet;
let daemon: RunningCommand;
let own: readonly string[];

beforeAll(async () => {
  fleet = await startFleet();
  own = ["--state-dir", fleet.path("o")];
  await fleet.initOrg();
  await fleet.enrollHost("n1");
  daemon = fleet.start(["node", "run", "--state-dir", fleet.path("n1"), "--json"]);
  await eventually("the node is connected", () => daemon.stderr.includes("connected to the server"), {
    timeoutMs: 30_000,
  });
});
afterAll(() => fleet[Symbol.asyncDispose]());

const ENDINGS = [
  ["SIGINT", 130],
  ["SIGTERM", 143],
  ["SIGHUP", 129],
] as const;

test.each(ENDINGS)("%s while a node is asked to start a run leaves no run, and says so", async (signal, code) => {
  const asked = startRun(`asked-${signal.toLowerCase()}`);
  await interruptWhileNodeWaits(asked, signal);
  const { stderr, ...rest } = await asked.finished;
  expect(rest).toEqual({ code, stdout: "" });
  expect(stderr).toMatch(/run [0-9a-f]{16} (was ended|was never started)/);
  expect(await running()).toEqual([]);
});

test("Ctrl-C while a node is asked to start a detached run leaves none, and prints no id", async () => {
  const asked = startRun("detached", "--detach");
  await interruptWhileNodeWaits(asked, "SIGINT");
  expect(await asked.finished).toMatchObject({ code: 130, stdout: "" });
  expect(await running()).toEqual([]);
});

test("Ctrl-C as soon as the node has taken the command ends the run that comes of it", async () => {
  const before = accepted();
  const asked = startRun("taken");
  await eventually("the node has taken it", () => accepted() > before);
  asked.kill("SIGINT");
  const { code, stdout } = await asked.finished;
  expect({ code, stdout }).toEqual({ code: 130, stdout: "" });
  await eventually("no run is there", async () => (await running()).length === 0);
});

test("Ctrl-C while a node is asked to start a further command in a run leaves the run without it", async () => {
  const { stdout: runId } = await fleet.run(["run", "--node", "n1", "-d", ...own, "--", "sleep", "600"]);
  const asked = fleet.start(["exec", ...own, runId.trim(), "--", "sleep", "617"]);
  await interruptWhileNodeWaits(asked, "SIGINT");
  const { code, stderr } = await asked.finished;
  expect(code).toBe(130);
  expect(stderr).toMatch(/the command (was ended|was never started)/);
  const list = ["exec", ...own, runId.trim(), "--", "sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"];
  await eventually("it is gone", async () => {
    const { stdout } = await fleet.run(list);
    return stdout.includes("sleep 600") && !stdout.includes("sleep 617");
  });
  await fleet.run(["stop", runId.trim(), ...own]);
});

test("a second Ctrl-C leaves at once and says what to do; the node ends the run when it comes", async () => {
  const asked = startRun("left");
  daemon.kill("SIGSTOP");
  try {
    await eventually("it waits", () => asked.stderr.includes("waiting for n1"));
    asked.kill("SIGINT");
    await eventually("the server has the word for the node", () => asked.stderr.includes("told to end"));
    asked.kill("SIGINT");
    const { code, stderr } = await asked.finished;
    expect(code).toBe(-1);
    expect(stderr).toMatch(/left: whether run ([0-9a-f]{16}) goes on is not known; gatehouse stop \1 ends it/);
  } finally {
    daemon.kill("SIGCONT");
  }
  const [, runId = ""] = /run ([0-9a-f]{16})/.exec(asked.stderr) ?? [];
  await fleet.run(["stop", runId, ...own]);
  await eventually("no run is there", async () => (await running()).length === 0);
});

test("closing the window while a node is asked to start a run leaves no run", async () => {
  daemon.kill("SIGSTOP");
  const command = ["run", "--node", "n1", "--agent", "window", ...own, "--", "sleep", "618"];
  const person = fleet.startOther(personAtTerminal([{ until: "waiting for n1" }, { tell: "waits" }, "close"], command));
  try {
    await person.line("it waits", (line) => line === "waits");
    person.write("\n");
  } finally {
    daemon.kill("SIGCONT");
  }
  await person.finished;
  expect(await running()).toEqual([]);
});

test.each(ENDINGS)("%s before anything was asked of a node says that nothing was started", async (signal) => {
  process.kill(fleet.serverPid, "SIGSTOP");
  const asked = startRun("early");
  try {
    await eventually("it holds signals", () => catchesHangUp(asked.pid));
    asked.kill(signal);
    expect(await asked.finished).toMatchObject({
      code: -1,
      stdout: "",
      stderr: expect.stringContaining("nothing was started"),
    });
  } finally {
    process.kill(fleet.serverPid, "SIGCONT");
  }
  expect(await running()).toEqual([]);
});

test("a node that never connected is said to be away at once", async () => {
  await fleet.enrollHost("n2");
  const refused = await fleet.run(["run", "--node", "n2", ...own, "--", "true"]);
  expect(refused).toMatchObject({ code: 125, stdout: "" });
  expect(refused.stderr).toContain("The node is not connected. n2 never was.");
  expect(refused.stderr).toContain("gatehouse node run");
});

test("of several nodes the one that is connected is taken, not one that was a moment ago", async () => {
  const gone = fleet.start(["node", "run", "--state-dir", fleet.path("n2"), "--json"]);
  await eventually("it is connected", () => gone.stderr.includes("connected to the server"), { timeoutMs: 30_000 });
  gone.kill("SIGTERM");
  await gone.finished;
  const list = async () => JSON.parse((await fleet.run(["nodes", "ls", ...own, "--json"])).stdout);
  await eventually("the server knows", async () => (await list()).some(isGone));
  expect((await fleet.run(["nodes", "ls", ...own])).stdout).toMatch(/^n2 +confirmed +not connected /m);
  const done = await fleet.run(["run", "--node", "n2,n1", ...own, "--", "true"]);
  expect(done.code).toBe(0);
  expect(done.stderr).not.toContain("n2");
});

function isGone({ name, connected }: { readonly name: string; readonly connected: boolean }): boolean {
  return name === "n2" && !connected;
}

function startRun(agent: string, ...options: readonly string[]): RunningCommand {
  return fleet.start(["run", "--node", "n1", "--agent", agent, ...options, ...own, "--", "sleep", "616"]);
}

/** The node's daemon stands still until the command was told to end what it began. */
async function interruptWhileNodeWaits(asked: RunningCommand, signal: NodeJS.Signals): Promise<void> {
  daemon.kill("SIGSTOP");
  try {
    await eventually("it waits for the node", () => asked.stderr.includes("waiting for"));
    asked.kill(signal);
    await eventually("it is interrupted", () => asked.stderr.includes("interrupted: "));
  } finally {
    daemon.kill("SIGCONT");
  }
}

/** Commands that the node took. */
function accepted(): number {
  return daemon.stderr.split("command accepted").length;
}

/** Agents of the runs that go on, by the node itself. */
async function running(): Promise<readonly string[]> {
  const { stdout } = await fleet.run(["ls", "--json", "--state-dir", fleet.path("n1")]);
  const runs = JSON.parse(stdout) as readonly { readonly agent: string; readonly state: string }[];
  return runs.filter(({ state }) => state !== "exited").map(({ agent }) => agent);
}

/** Node.js by itself catches no SIGHUP. */
function catchesHangUp(pid: number): boolean {
  const [, caught = "0"] = /^SigCgt:\s*([0-9a-f]+)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
  return (BigInt(`0x${caught}`) & 1n) === 1n;
}
