import { eventually, type Fleet, type RunningCommand, startFleet } from "@gatehouse/testbed";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Deed, personAtTerminal } from "./person-at-terminal.ts";

let fleet: Fleet;
let own: readonly string[];

beforeAll(async () => {
  fleet = await startFleet();
  own = ["--state-dir", fleet.path("o")];
  await fleet.initOrg();
  for (const name of ["n1", "n2"]) await startNode(name);
});
afterAll(() => fleet[Symbol.asyncDispose]());

const SHELL = ["--env", "PS1=$ "];
const BUSY: readonly Deed[] = [{ until: "$ " }, { type: "echo b''egun; sleep 615\n" }, { until: "begun\n" }];
const SLEEP = ["sleep", "600"];
const HUNG_UP = 129;
const KILLED = 137;

describe("the terminal is given back as it was", () => {
  test.each(["bubblewrap", "unshare"])(
    "when a run by %s is stopped, with the code of its end to whoever shows it or a command in it",
    async (driver) => {
      const runId = await detach("n1", SLEEP, "--driver", driver);
      const shown = await at([
        "run",
        "--node",
        "n1",
        ...SHELL,
        "--driver",
        driver,
        "--agent",
        driver,
        ...own,
        "--",
        "sh",
      ]);
      const inside = await at(["exec", ...SHELL, ...own, runId, "--", "sh"]);
      for (const stopped of [runId, await runOf(driver)]) await fleet.run(["stop", stopped, ...own]);
      for (const person of [shown, inside]) person.write("\n");
      expect(await shown.finished).toMatchObject({ stdout: `here\n${HUNG_UP} as it was\n` });
      expect(await inside.finished).toMatchObject({ stdout: `here\n${KILLED} as it was\n` });
    },
  );

  test("when the node of what it shows is revoked, and that is said", async () => {
    const told: readonly Deed[] = [{ until: "There is no such node" }];
    const shown = await at(["run", "--node", "n2", ...SHELL, ...own, "--", "sh"], told);
    const runId = await detach("n2", SLEEP);
    const inside = await at(["exec", ...SHELL, ...own, runId, "--", "sh"], told);
    expect(await fleet.run(["nodes", "revoke", "n2", ...own])).toMatchObject({ code: 0 });
    for (const person of [shown, inside]) person.write("\n");
    for (const person of [shown, inside]) {
      expect(await person.finished).toMatchObject({ stdout: "here\n125 as it was\n" });
    }
    await stopAllOn("n2");
  });

  test("by a run that has none: its keys stay its own", async () => {
    const script = "trap 'echo told; exit 9' INT; echo begun; while :; do sleep 0.05; done";
    const runId = await detach("n1", ["sh", "-c", script]);
    const deeds: readonly Deed[] = [{ until: "no keys leave it" }, { type: "\u0003" }, { until: "told\n" }];
    expect(await sit(deeds, ["attach", runId, ...own]).finished).toMatchObject({ stdout: "9 as it was\n" });
  });
});

describe("a window that is closed ends what it shows", () => {
  test("at once", async () => {
    const command = ["run", "--node", "n1", ...SHELL, "--agent", "closed", ...own, "--", "sh"];
    await sit([...BUSY, "close"], command).finished;
    const ended = await eventually("it has ended", async () => (await listed("closed", "exited"))[0]);
    expect(ended).toMatchObject({ code: HUNG_UP });
  });

  test("when the server is back, where that was away", async () => {
    const runId = await detach("n1", SLEEP);
    const deeds: readonly Deed[] = [...BUSY, { tell: "here" }, { until: "is lost" }, { tell: "lost" }, "close"];
    const persons = [
      sit(deeds, ["run", "--node", "n1", ...SHELL, "--agent", "away", ...own, "--", "sh"]),
      sit(deeds, ["exec", ...SHELL, ...own, runId, "--", "sh"]),
    ];
    for (const person of persons) await person.line("it is there", (line) => line === "here");
    await fleet.stopServer("SIGKILL");
    for (const person of persons) person.write("\n");
    for (const person of persons) {
      await person.line("it is lost", (line) => line === "lost");
      person.write("\n");
    }
    await fleet.startServer();
    for (const person of persons) await person.finished;
    expect(await eventually("the run has ended", async () => (await listed("away", "exited"))[0])).toMatchObject({
      code: HUNG_UP,
    });
    const list = ["exec", ...own, runId, "--", "sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"];
    const { stdout } = await fleet.run(list);
    expect(stdout).toContain(SLEEP.join(" "));
    expect(stdout).not.toContain("sleep 615");
    await fleet.run(["stop", runId, ...own]);
  });
});

async function startNode(name: string): Promise<void> {
  await fleet.enrollHost(name);
  const daemon = fleet.start(["node", "run", "--state-dir", fleet.path(name), "--json"]);
  await eventually("the node is connected", () => daemon.stderr.includes("connected to the server"), {
    timeoutMs: 30_000,
  });
}

function sit(deeds: readonly Deed[], command: readonly string[]): RunningCommand {
  return fleet.startOther(personAtTerminal(deeds, command));
}

/** A person at the prompt of a shell, who goes on when a line comes. */
async function at(command: readonly string[], further: readonly Deed[] = []): Promise<RunningCommand> {
  const person = sit([{ until: "$ " }, { tell: "here" }, ...further], command);
  await person.line("it is there", (line) => line === "here");
  return person;
}

async function detach(node: string, command: readonly string[], ...options: readonly string[]): Promise<string> {
  const { stdout } = await fleet.run(["run", "--node", node, "-d", ...own, ...options, "--", ...command]);
  return stdout.trim();
}

interface Listed {
  readonly run_id: string;
  readonly agent: string;
  readonly state: string;
  readonly code?: number;
}

async function listed(agent: string, state: string): Promise<readonly Listed[]> {
  const { stdout } = await fleet.run(["ls", "--json", ...own]);
  return (JSON.parse(stdout) as Listed[]).filter((run) => run.agent === agent && run.state === state);
}

/** Ends what goes on on a node, there. */
async function stopAllOn(node: string): Promise<void> {
  const there = ["--state-dir", fleet.path(node)];
  const { stdout } = await fleet.run(["ls", "--json", ...there]);
  const running = (JSON.parse(stdout) as Listed[]).filter(({ state }) => state === "running");
  expect(running).toHaveLength(2);
  for (const { run_id: runId } of running) await fleet.run(["stop", runId, ...there]);
}

/** The run of an agent that is there now. */
function runOf(agent: string): Promise<string> {
  return eventually("the run is listed", async () => (await listed(agent, "running"))[0]?.run_id);
}
