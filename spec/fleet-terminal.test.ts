import { eventually, type Fleet, type RunningCommand, startFleet } from "@gatehouse/testbed";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Deed, personAtTerminal, TRY_A_SHELL } from "./person-at-terminal.ts";

let fleet: Fleet;
let own: readonly string[];

beforeAll(async () => {
  fleet = await startFleet();
  own = ["--state-dir", fleet.path("o")];
  await fleet.initOrg();
  await fleet.enrollHost("n1");
  const daemon = fleet.start(["node", "run", "--state-dir", fleet.path("n1"), "--json"]);
  await eventually("the node is connected", () => daemon.stderr.includes("connected to the server"), {
    timeoutMs: 30_000,
  });
});
afterAll(() => fleet[Symbol.asyncDispose]());

const PROMPT = ["--env", "PS1=$ "];

test.each(["bubblewrap", "unshare"])(
  "at a terminal a run on a node by %s has one, with its size and its keys",
  async (driver) => {
    const person = sit(TRY_A_SHELL, ["run", "--node", "n1", "--driver", driver, ...PROMPT, ...own, "--", "sh"]);
    expect(await person.finished).toMatchObject({ code: 0, stdout: "5 as it was\n", stderr: "" });
  },
);

test.each(["bubblewrap", "unshare"])(
  "at a terminal a further command in a run on a node by %s has one, with its size and its keys",
  async (driver) => {
    const runId = await detach("--driver", driver);
    const person = sit(TRY_A_SHELL, ["exec", ...PROMPT, ...own, runId, "--", "sh"]);
    expect(await person.finished).toMatchObject({ code: 0, stdout: "5 as it was\n", stderr: "" });
    await fleet.run(["stop", runId, ...own]);
  },
);

test("whoever is not at a terminal has pipes on a node, whatever the other end is", async () => {
  const script = "test -t 0 || echo piped; echo bad >&2";
  const runId = await detach();
  for (const asked of [
    ["run", "--node", "n1", ...own],
    ["exec", ...own, runId],
  ]) {
    const done = await fleet.run([...asked, "--", "sh", "-c", script]);
    expect(done).toEqual({ code: 0, stdout: "piped\n", stderr: "bad\n" });
  }
  await fleet.run(["stop", runId, ...own]);
});

test("a run that has a terminal is attached to from another, with its size; the first one is told and left as it was", async () => {
  const deeds: readonly Deed[] = [{ until: "$ " }, { type: "echo k''ept\n" }, { until: "kept\n$ " }, { tell: "here" }];
  const command = ["run", "--node", "n1", ...PROMPT, "--agent", "moved", ...own, "--", "sh"];
  const first = sit([...deeds, { until: "Somebody else" }], command);
  await first.line("it is there", (line) => line === "here");
  first.write("\n");
  const runId = await runOf("moved");
  const again: readonly Deed[] = [
    { until: "kept\n$ " },
    { type: "until stty size | grep '20 50'; do :; done\n" },
    { until: "20 50\n" },
    { type: "exit 6\n" },
  ];
  const second = sit(again, ["attach", runId, ...own], [20, 50]);
  expect(await first.finished).toMatchObject({ stdout: "here\n125 as it was\n", stderr: "" });
  expect(await second.finished).toMatchObject({ stdout: "6 as it was\n", stderr: "" });
});

test("ctrl-p ctrl-q leaves a run to itself, other keys go on to it, and another attaches to it", async () => {
  const command = ["run", "--node", "n1", ...PROMPT, "--agent", "left-alone", ...own, "--", "sh"];
  const caller = sit([{ until: "$ " }, { tell: "here" }, { until: "Somebody else" }], command);
  await caller.line("it is there", (line) => line === "here");
  caller.write("\n");
  const runId = await runOf("left-alone");
  const deeds: readonly Deed[] = [
    { until: "$ " },
    { type: "echo k''ept\n" },
    { until: "kept\n$ " },
    { type: "echo lo\u0010st" },
    { type: "\u0010" },
    { type: "\u0011" },
    { until: `the run goes on: gatehouse attach ${runId}` },
  ];
  expect(await sit(deeds, ["attach", runId, ...own]).finished).toMatchObject({ stdout: "0 as it was\n", stderr: "" });
  await caller.finished;
  const interrupts: readonly Deed[] = [{ type: "\u0003" }, { until: "$ " }];
  const again: readonly Deed[] = [{ until: "kept\n$ " }, ...interrupts, { type: "exit 6\n" }];
  const second = sit(again, ["attach", "--detach-keys", "ctrl-],x", runId, ...own]);
  expect(await second.finished).toMatchObject({ stdout: "6 as it was\n", stderr: "" });
  const wrong = await fleet.run(["attach", "--detach-keys", "ctrl-1", runId, ...own]);
  expect(wrong).toMatchObject({ code: 2, stderr: expect.stringContaining("ctrl-p,ctrl-q") });
});

test("a further command at a terminal ends when its window is closed", async () => {
  const runId = await detach();
  const deeds: readonly Deed[] = [
    { until: "$ " },
    { type: "echo b''egun; sleep 615\n" },
    { until: "begun\n" },
    "close",
  ];
  await sit(deeds, ["exec", ...PROMPT, ...own, runId, "--", "sh"]).finished;
  const list = ["exec", ...own, runId, "--", "sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"];
  await eventually("it is gone", async () => {
    const { stdout } = await fleet.run(list);
    return stdout.includes("sleep 600") && !stdout.includes("sleep 615");
  });
  await fleet.run(["stop", runId, ...own]);
});

test("a server that is gone gives the terminal back to whoever asks for it, and one that returns shows it whole", async () => {
  const deeds: readonly Deed[] = [{ until: "$ " }, { tell: "here" }, { until: "is lost" }];
  const runAs = (agent: string) => ["run", "--node", "n1", ...PROMPT, "--agent", agent, ...own, "--", "sh"];
  const leaves = sit([...deeds, { type: "\u0003" }, { until: "goes on" }], runAs("left"));
  const stays = sit(
    [...deeds, { tell: "lost" }, { type: "echo r''eturned\n" }, { until: "returned\n" }, { type: "exit 7\n" }],
    runAs("stayed"),
  );
  for (const person of [leaves, stays]) await person.line("it is there", (line) => line === "here");
  await fleet.stopServer("SIGKILL");
  for (const person of [leaves, stays]) person.write("\n");
  expect(await leaves.finished).toMatchObject({ code: 0, stdout: "here\n125 as it was\n", stderr: "" });
  await stays.line("it is lost", (line) => line === "lost");
  await fleet.startServer();
  stays.write("\n");
  expect(await stays.finished).toMatchObject({ code: 0, stdout: "here\nlost\n7 as it was\n", stderr: "" });
  expect(await fleet.run(["stop", await runOf("left"), ...own])).toMatchObject({ code: 0 });
});

test("the seventeenth further command in a run is refused by its node, and nothing of it is started", async () => {
  const runId = await detach();
  const exec = (...command: readonly string[]) => ["exec", ...own, runId, "--", ...command];
  const held = Array.from({ length: 16 }, () => fleet.start(exec("sh", "-c", "echo begun; exec cat")));
  for (const one of held) await one.line("it runs", (line) => line === "begun", 60_000);
  const refused = await fleet.run(exec("touch", "made"));
  expect(refused).toMatchObject({ code: 125, stdout: "" });
  expect(refused.stderr).toContain("16 run");
  for (const one of held) one.endInput();
  for (const one of held) expect(await one.finished).toMatchObject({ code: 0, stdout: "begun\n" });
  expect(await fleet.run(exec("ls"))).toEqual({ code: 0, stdout: "", stderr: "" });
  await fleet.run(["stop", runId, ...own]);
});

function sit(deeds: readonly Deed[], command: readonly string[], size?: readonly [number, number]): RunningCommand {
  return fleet.startOther(personAtTerminal(deeds, command, size));
}

async function detach(...options: readonly string[]): Promise<string> {
  const { stdout } = await fleet.run(["run", "--node", "n1", "-d", ...options, ...own, "--", "sleep", "600"]);
  return stdout.trim();
}

/** The run of an agent that is there now. */
function runOf(agent: string): Promise<string> {
  return eventually("the run is listed", async () => {
    const { stdout } = await fleet.run(["ls", "--json", ...own]);
    const runs = JSON.parse(stdout) as { readonly run_id: string; readonly agent: string; readonly state: string }[];
    return runs.find((run) => run.agent === agent && run.state === "running")?.run_id;
  });
}
