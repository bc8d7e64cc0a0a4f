import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { eventually, type Fleet, type RunningCommand, startFleet } from "@gatehouse/testbed";
import { expect, test } from "vitest";

test("a command runs in a sandbox of a node: its output is shown and its code is the command's", async () => {
  await using fleet = await startFleet();
  await startNode(fleet, "n1");
  const shown = await onNode(fleet, ["--", ...SHELL, "pwd; echo oops >&2; exit 7"]);
  expect(shown.code).toBe(7);
  expect(shown.stdout).toContain("gatehouse/workspaces");
  expect(shown.stderr).toBe("oops\n");
});

test("a detached run on a node is listed, followed and stopped from the operator's machine", async () => {
  await using fleet = await startFleet();
  const daemon = await startNode(fleet, "n1");
  const started = await onNode(fleet, ["--detach", "--json", "--", ...SHELL, "echo begun; exec sleep 300"]);
  const { run_id: runId, node } = JSON.parse(started.stdout);
  expect(node).toBe("n1");
  await eventually("its start is reported", async () => (await fleet.operator(["ls"]))[0]?.state === "running");
  expect(await fleet.operator(["ls"])).toMatchObject([{ run_id: runId, node: "n1" }]);
  const logs = await fleet.run(["logs", runId, "--state-dir", fleet.path("o")]);
  expect(logs.stdout).toBe("begun\n");
  expect(await fleet.operator(["stop", runId])).toEqual({ stopped: [runId] });
  expect(await fleet.json(["ls", "--state-dir", fleet.path("n1")])).toMatchObject([{ state: "exited" }]);
  await eventually("its end is reported", async () => (await fleet.operator(["ls"]))[0].state === "exited");
  expect(await fleet.operator(["stop", runId])).toEqual({ stopped: [], ended: [runId] });
  const unknown = await fleet.run(["stop", "nowhere", "--state-dir", fleet.path("o")]);
  expect(unknown.code).toBe(5);
  expect((await onNode(fleet, ["--", ...SHELL, "exit 3"])).code).toBe(3);
  daemon.kill("SIGTERM");
  await daemon.finished;
  const left = (await fleet.operator(["ls"])) as { state: string }[];
  expect(
    left.map(({ state }) => state),
    "a node that ends says what became of its runs",
  ).toEqual(["exited", "exited"]);
});

test("a run on an operator's own machine that wants a credential of the organisation is told where that is served", async () => {
  await using fleet = await startFleet();
  await fleet.initOrg();
  const daemon = fleet.start(["up", "--state-dir", fleet.path("o"), "--json"]);
  await daemon.line("the daemon's ready line", (line) => line.includes('"ready":true'));
  const workspace = fleet.path("workspace");
  await mkdir(workspace);
  const own = ["--workspace", workspace, "--state-dir", fleet.path("o")];
  const refused = await fleet.run(["run", "--grant", "gh", ...own, "--", "touch", "here"]);
  expect(refused).toMatchObject({ code: 125, stdout: "" });
  expect(await readdir(workspace)).toEqual([]);
  expect(refused.stderr).toContain("gatehouse run --node NODE --grant NAME");
});

test("what a node's own configuration does not allow is refused, and nothing runs", async () => {
  await using fleet = await startFleet();
  await startNode(fleet, "n1");
  const outside = fleet.path("outside");
  await mkdir(outside);
  const elsewhere = await onNode(fleet, ["--workspace", outside, "--", ...SHELL, "touch here"]);
  expect(elsewhere.stderr).toContain("The node refused the command.");
  expect(elsewhere.code).toBe(125);
  const exposed = await onNode(fleet, ["--driver", "process", "--", ...SHELL, "true"]);
  expect(exposed.stderr).toContain("It says: The node does not do this on command.");
  await fleet.enrollHost("n2");
  await writeFile(fleet.path("value"), "no-real-one");
  await fleet.operator([
    "credentials",
    "add",
    "gh",
    "--service",
    "github",
    "--nodes",
    "n2",
    "--value-file",
    fleet.path("value"),
  ]);
  const unsealed = await onNode(fleet, ["--grant", "gh", "--grant", "none", "--", ...SHELL, "true"]);
  expect(unsealed.stderr).toContain("It says: There is no such grant.");
  expect(unsealed.stderr).toContain("gh is not sealed to n1: gatehouse credentials reseal gh --nodes n1.");
  expect(unsealed.stderr).toContain("no credential called none: gatehouse credentials ls");
  await fleet.operator(["nodes", "cordon", "n1"]);
  const cordoned = await onNode(fleet, ["--", ...SHELL, "true"]);
  expect(cordoned.stderr).toContain("It says: n1 is cordoned: it admits no new run (gatehouse nodes uncordon n1).");
  const table = await fleet.run(["nodes", "ls", "--state-dir", fleet.path("o")]);
  expect(table.stdout).toMatch(/^n1 +confirmed, cordoned +online /m);
  expect(await fleet.json(["ls", "--state-dir", fleet.path("n1")])).toEqual([]);
  await fleet.operator(["nodes", "uncordon", "n1"]);
  expect((await onNode(fleet, ["--", ...SHELL, "exit 3"])).code).toBe(3);
});

test("a command that waits survives server and node, both killed, and is done once", async () => {
  await using fleet = await startFleet();
  const daemon = await startNode(fleet, "n1");
  await kill(daemon);
  const waiting = fleet.start([...RUN, "--state-dir", fleet.path("o"), "--detach", "--json", "--", "sleep", "300"]);
  await eventually("the command is queued", () => isIssued(fleet), { timeoutMs: 30_000 });
  await fleet.stopServer("SIGKILL");
  expect((await waiting.finished).code).not.toBe(0);
  await fleet.startServer();
  const again = await joinNode(fleet, "n1");
  await eventually("the run is there", async () => (await runsOf(fleet)).some(({ state }) => state === "running"));
  await kill(again);
  await fleet.stopServer("SIGKILL");
  await fleet.startServer();
  await joinNode(fleet, "n1");
  expect(await runsOf(fleet)).toHaveLength(1);
  await fleet.json(["stop", (await runsOf(fleet))[0]?.run_id ?? "", "--state-dir", fleet.path("n1")]);
});

test("a daemon that is killed in the middle of a command says that it does not know what came of it", async () => {
  await using fleet = await startFleet();
  const daemon = await startNode(fleet, "n1");
  await onNode(fleet, ["--detach", "--", "sleep", "300"]);
  const drain = fleet.start(["nodes", "drain", "n1", "--within", "5m", "--state-dir", fleet.path("o")]);
  await eventually("the node began", async () =>
    daemon.stderr.split("command accepted").length > 2 ? true : undefined,
  );
  await kill(daemon);
  await joinNode(fleet, "n1");
  const said = await drain.finished;
  expect(said.code).toBe(1);
  expect(said.stderr).toContain("outcome unknown");
  const [run] = await runsOf(fleet);
  expect(run?.state).toBe("running");
  await fleet.operator(["nodes", "uncordon", "n1"]);
  await fleet.operator(["nodes", "drain", "n1", "--within", "1s"]);
  expect(await runsOf(fleet)).toMatchObject([{ state: "exited" }]);
});

test("nodes with a label are asked and drained in one batch, with totals; lists are narrowed; what waits is cancelled", async () => {
  await using fleet = await startFleet();
  await fleet.initOrg();
  for (const name of ["east-1", "east-2"]) await fleet.enrollHost(name, ["--label", "zone=east"]);
  await fleet.enrollHost("west-1");
  for (const name of ["east-1", "east-2"]) await joinNode(fleet, name);
  const label = ["--label", "zone=east"];
  const rows = ["east-1", "east-2"].map((name) => ({ name, state: "ok", message: expect.any(String) }));
  const all = { batch_id: expect.any(String), totals: { ok: 2 }, nodes: rows };
  expect(await fleet.operator(["nodes", "ping", ...label])).toEqual(all);
  expect(await fleet.operator(["nodes", "drain", "--within", "1s", ...label])).toEqual(all);
  const listed = (await fleet.operator(["nodes", "ls", "--name", "st-1", "--state", "confirmed"])) as object;
  expect(listed).toMatchObject([
    { name: "east-1", cordoned: true },
    { name: "west-1", cordoned: false },
  ]);
  expect(await fleet.operator(["nodes", "ls", "--state", "pending"])).toEqual([]);
  const table = (await fleet.run(["nodes", "ls", "--state-dir", fleet.path("o")])).stdout;
  expect(table).toMatch(/^east-1 .* zone=east$/m);
  expect(table).toMatch(/^west-1 .* -$/m);
  const shown = await fleet.run(["nodes", "show", "east-1", "--state-dir", fleet.path("o")]);
  expect(shown.stdout).toMatch(/^labels +zone=east$/m);
  const away = await fleet.run(["nodes", "ping", "east-1", "west-1", "--json", "--state-dir", fleet.path("o")]);
  expect(away.code).toBe(1);
  expect(JSON.parse(away.stdout)).toMatchObject({ totals: { ok: 1 }, nodes: [{ state: "ok" }, { name: "west-1" }] });
  const relabelled = await fleet.operator(["nodes", "label", "east-1", "zone-", "tier=a/b", "kind="]);
  expect(relabelled).toMatchObject({ name: "east-1", labels: { tier: "a/b", kind: "" } });
  for (const [by, name] of [
    ["zone=east", "east-2"],
    ["tier=a/b", "east-1"],
  ] as const) {
    expect(await fleet.operator(["nodes", "ping", "--label", by])).toMatchObject({
      totals: { ok: 1 },
      nodes: [{ name }],
    });
  }
  for (const wrong of [["zone"], ["zone=x", "zone-"], ["Zone=x"]]) {
    const { code } = await fleet.run(["nodes", "label", "east-1", ...wrong, "--state-dir", fleet.path("o")]);
    expect(code).toBe(2);
  }
  for (const wrong of [[], ["east-1", ...label]]) {
    const { code } = await fleet.run(["nodes", "drain", ...wrong, "--state-dir", fleet.path("o")]);
    expect(code).toBe(2);
  }
  await cancelWhatWaits(fleet, "west-1");
});

/** A node that is away is asked, and the command taken back before it could come. */
async function cancelWhatWaits(fleet: Fleet, node: string): Promise<void> {
  const own = ["--state-dir", fleet.path("o")];
  const asked = fleet.start(["nodes", "ping", node, ...own]);
  const waiting = () => fleet.operator(["commands", "ls", "--waiting", "--node", node]) as Promise<{ id: string }[]>;
  const [{ id }] = await eventually("it waits", async () => {
    const rows = await waiting();
    return rows.length === 1 ? (rows as [{ id: string }]) : undefined;
  });
  const [done] = (await fleet.operator(["commands", "ls", "--limit", "1000"])).filter(
    ({ state }: { state: string }) => state === "ok",
  );
  const cancelled = await fleet.run(["commands", "cancel", done.id, id, "--json", ...own]);
  expect(cancelled.code).toBe(1);
  expect(JSON.parse(cancelled.stdout)).toEqual({
    cancelled: [id],
    kept: [{ id: done.id, problem: "commands.ended" }],
    unknown: [],
    untried: [],
  });
  const told = await asked.finished;
  expect(told).toMatchObject({ code: 4 });
  expect(told.stderr).toContain("It was cancelled.");
  expect(await waiting()).toEqual([]);
  const table = await fleet.run(["commands", "ls", "--node", node, ...own]);
  expect(table.stdout).toMatch(
    new RegExp(`^${id} +${node} +ping +withdrawn +operator:ada .*by operator:ada: cancelled$`, "m"),
  );
}

test("a host says when its API key ends, and gets a fresh one when an operator ends it", async () => {
  await using fleet = await startFleet();
  await fleet.initOrg();
  await fleet.enrollHost("n1");
  const own = ["--state-dir", fleet.path("n1")];
  expect(await fleet.json(["node", "status", ...own])).toMatchObject({ api_key_expires_at: null });
  const { api_key_expires_at: first } = await fleet.json(["node", "refresh", ...own]);
  expect(Date.parse(first ?? "") - Date.now()).toBeGreaterThan(89 * 86_400_000);
  expect(await fleet.json(["node", "status", ...own])).toMatchObject({ api_key_expires_at: first });
  const before = await readFile(fleet.path("n1", "api.key"), "utf8");
  expect(await fleet.operator(["nodes", "rotate-key", "n1"])).toMatchObject({ name: "n1", state: "rotated" });
  const { api_key_expires_at: next = "" } = await fleet.json(["node", "refresh", ...own]);
  expect(Date.parse(next)).toBeGreaterThan(Date.parse(first ?? ""));
  expect(await readFile(fleet.path("n1", "api.key"), "utf8")).not.toBe(before);
});

const SHELL = ["sh", "-c"] as const;
const RUN = ["run", "--node", "n1"] as const;

function onNode(fleet: Fleet, args: readonly string[]) {
  return fleet.run([...RUN, "--state-dir", fleet.path("o"), ...args]);
}

/** The runs as the host itself knows them. */
async function runsOf(fleet: Fleet): Promise<readonly { readonly run_id: string; readonly state: string }[]> {
  return fleet.json(["ls", "--state-dir", fleet.path("n1")]);
}

/** An enrolled host with its daemon, connected. */
async function startNode(fleet: Fleet, name: string): Promise<RunningCommand> {
  await fleet.initOrg();
  await fleet.enrollHost(name);
  return joinNode(fleet, name);
}

async function joinNode(fleet: Fleet, name: string): Promise<RunningCommand> {
  const daemon = fleet.start(["node", "run", "--state-dir", fleet.path(name), "--json"]);
  await daemon.line("the node's ready line", (line) => line.includes('"ready":true'));
  await eventually("the node is connected", async () => {
    return `${daemon.stdout}${daemon.stderr}`.includes("connected to the server") ? true : undefined;
  });
  return daemon;
}

/** Whether the organisation's audit log says that a command was given. */
async function isIssued(fleet: Fleet): Promise<true | undefined> {
  const file = fleet.path("audit.jsonl");
  const { code } = await fleet.run(["audit", "export", "--out", file, "--state-dir", fleet.path("o")]);
  return code === 0 && (await readFile(file, "utf8")).includes("command.issued") ? true : undefined;
}

async function kill(daemon: RunningCommand): Promise<void> {
  daemon.kill("SIGKILL");
  await daemon.finished;
}
