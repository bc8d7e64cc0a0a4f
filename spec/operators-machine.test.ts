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
  const add = ["credentials", "add", "api", "--host", "api.example.test:80", "--value-file", "-", ...own];
  expect(await fleet.run(add, "planted-value")).toMatchObject({ code: 6, stdout: "" });
  const all = await fleet.run(["stop", "--all", ...own]);
  expect(all).toMatchObject({ code: 6, stderr: expect.stringContaining("--all is about this machine alone.") });
  const daemon = fleet.start(["up", "--json", ...own]);
  await daemon.line("the daemon's ready line", (line) => line.includes('"ready":true'));
  expect(await fleet.run(add, "planted-value")).toMatchObject({
    code: 0,
    stderr: expect.stringContaining("requests to http://api.example.test:80 go on without it"),
  });
  const listed = await fleet.run(["credentials", "ls", ...own]);
  expect(listed.stdout).toMatch(/^api +- +this machine's own/m);
});

test("a code for a host goes to standard output alone, and a second one for the same name says so", async () => {
  await using fleet = await startFleet();
  await fleet.initOrg();
  const own = ["--state-dir", fleet.path("o")];
  const first = await fleet.run(["nodes", "enroll-code", "--name", "n1", ...own]);
  expect(first.stdout).toMatch(/^ghe_\S+\n$/);
  expect(first.stderr).toContain(`gatehouse node enroll --server ${fleet.url} --name n1`);
  expect(first.stderr).not.toContain("waits by another code");
  const [waiting] = await fleet.operator(["nodes", "codes"]);
  const second = await fleet.run(["nodes", "enroll-code", "--name", "n1", ...own]);
  expect(second.stderr).toContain(
    `n1 waits by another code already; to end that one: gatehouse nodes cancel ${waiting.id}`,
  );
});

test("a server goes on at the URL that it was given last", async () => {
  await using fleet = await startFleet();
  const own = ["--state-dir", fleet.path("other"), "--json"];
  const ready = async (...options: readonly string[]) => {
    const server = fleet.start(["server", ...options, ...own]);
    const { url } = JSON.parse(await server.line("the ready line", (line) => line.includes('"ready":true')));
    server.kill("SIGTERM");
    expect((await server.finished).code).toBe(0);
    return url;
  };
  const url = "https://gatehouse.example:8443";
  expect(await ready("--listen", "127.0.0.1:0", "--url", url)).toBe(url);
  expect(await ready("--listen", "0.0.0.0:0")).toBe(url);
  expect(await ready("--listen", "127.0.0.1:0", "--url", "https://other.example")).toBe("https://other.example");
  expect(await ready("--listen", "127.0.0.1:0")).toBe("https://other.example");
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
