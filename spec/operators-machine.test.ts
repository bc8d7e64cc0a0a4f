import { chmod, mkdir, readdir, stat } from "node:fs/promises";
import { eventually, type Fleet, startFleet } from "@gatehouse/testbed";
import { expect, test } from "vitest";

test("an operator's machine lists the nodes' runs and its own, whether a daemon runs there or not", async () => {
  await using fleet = await startFleet();
  await startNode(fleet);
  const there = await start(fleet, ["--node", "n1"]);
  expect(await fleet.operator(["ls"])).toMatchObject([{ run_id: there, node: "n1", state: "running" }]);
  const workspace = fleet.path("workspace");
  await mkdir(workspace);
  const own = ["--state-dir", fleet.path("o")];
  const failed = await fleet.run(["run", "--grant", "none", "--workspace", workspace, ...own, "--", "true"]);
  expect(failed.code).toBe(125);
  expect(await readdir(fleet.path("o"))).toContain("daemon.lock");
  expect(await fleet.operator(["ls"])).toMatchObject([{ run_id: there, node: "n1" }]);
  expect(await fleet.operator(["ls", "--local"])).toEqual([]);

  const here = await start(fleet, ["--workspace", workspace]);
  expect(await fleet.operator(["ls"])).toMatchObject([
    { run_id: here, node: "local", command: ["sleep", "600"] },
    { run_id: there, node: "n1" },
  ]);
  expect(await fleet.operator(["ls", "--local"])).toMatchObject([{ run_id: here }]);
  expect(await fleet.operator(["ls", "--node", "n1"])).toMatchObject([{ run_id: there }]);
  expect(await fleet.run(["ls", "--local", "--node", "n1", ...own])).toMatchObject({ code: 2, stdout: "" });

  await fleet.stopServer("SIGKILL");
  const away = await fleet.run(["ls", ...own]);
  expect(away.code).toBe(6);
  expect(away.stdout).toMatch(new RegExp(`^${here} +local +running`, "m"));
  expect(await fleet.run(["ls", "--json", ...own])).toMatchObject({ code: 6, stdout: "" });
  expect(await fleet.operator(["stop", here])).toEqual({ stopped: [here] });
});

test("a credential that names no nodes is the operator's machine's own", async () => {
  await using fleet = await startFleet();
  await fleet.initOrg();
  const own = ["--state-dir", fleet.path("o")];
  const add = ["credentials", "add", "api", "--host", "api.example.test", "--value-file", "-", ...own];
  expect(await fleet.run(add, "planted-value")).toMatchObject({ code: 6, stdout: "" });
  const daemon = fleet.start(["up", "--json", ...own]);
  await daemon.line("the daemon's ready line", (line) => line.includes('"ready":true'));
  expect(await fleet.run(add, "planted-value")).toMatchObject({ code: 0 });
  const listed = await fleet.run(["credentials", "ls", ...own]);
  expect(listed.stdout).toMatch(/^api +- +this machine's own/m);
});

test("a state directory that others may enter is refused before anything is made in it", async () => {
  await using fleet = await startFleet();
  const directory = fleet.path("o");
  await chmod(directory, 0o755);
  const init = ["org", "init", "--server", fleet.url, "--setup-code-file", fleet.path("s", "setup-code")];
  const own = ["--state-dir", directory];
  const refused = await fleet.run([...init, "--org", "acme", "--owner", "ada", ...own]);
  expect(refused).toMatchObject({ code: 2, stdout: "" });
  expect(refused.stderr).toContain("has mode 0755; run: chmod 700");
  expect(await readdir(directory)).toEqual([]);

  await chmod(directory, 0o700);
  await fleet.initOrg();
  await chmod(directory, 0o755);
  for (const command of [["nodes", "ls"], ["ls"], ["stop", "r1"], ["credentials", "ls"], ["revoke", "api"]]) {
    const { code, stderr } = await fleet.run([...command, ...own]);
    expect({ command, code, says: stderr.includes("has mode 0755") }).toEqual({ command, code: 2, says: true });
  }
  const fresh = fleet.path("fresh");
  await fleet.run([...init, "--org", "other", "--owner", "ada", "--state-dir", fresh]);
  expect((await stat(fresh)).mode & 0o777).toBe(0o700);
});

async function startNode(fleet: Fleet): Promise<void> {
  await fleet.initOrg();
  await fleet.enrollHost("n1");
  const daemon = fleet.start(["node", "run", "--state-dir", fleet.path("n1"), "--json"]);
  await eventually("the node is connected", () => daemon.stderr.includes("connected to the server"), {
    timeoutMs: 30_000,
  });
}

/** A detached run's id. */
async function start(fleet: Fleet, options: readonly string[]): Promise<string> {
  const own = ["--state-dir", fleet.path("o")];
  const { stdout } = await fleet.run(["run", "-d", ...options, ...own, "--", "sleep", "600"]);
  return stdout.trim();
}
