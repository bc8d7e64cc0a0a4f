import { readdir } from "node:fs/promises";
import { countInMemory, eventually, findInFiles, isAlive, runProcess, startWorld } from "@gatehouse/testbed";
import { expect, test } from "vitest";
import { findInSandboxes, openGrantedApi } from "./granted-api.ts";

test("during traffic the value is in the memory of the key-holder, and not of daemon, keepers or sandboxes", async () => {
  await using world = await startWorld();
  await using granted = await openGrantedApi(world);
  const { api, value, grant, policy, origin } = granted;
  const script = `while curl -sS -o /dev/null -w '%{http_code}\\n' ${origin}/; do sleep 0.02; done`;
  const running = world.startRun(["sh", "-c", script], { grants: [grant], policy });
  await running.line("an answer", (line) => line === "200");

  const scan = async (pids: readonly number[]) => {
    expect(pids.length).toBeGreaterThan(0);
    const counts = await Promise.all(pids.map((pid) => countInMemory(pid, value)));
    return counts.reduce((sum, count) => sum + count, 0);
  };
  expect(await scan(await world.pids("holder"))).toBeGreaterThan(0);
  expect(await scan([world.daemon.pid])).toBe(0);
  expect(await scan(await world.pids("keeper"))).toBe(0);
  expect(await scan([running.pid])).toBe(0);
  expect(await findInSandboxes(world, value)).toEqual([]);

  const before = api.requests.length;
  await eventually("traffic after the scan", () => api.requests.length > before);
  expect(running.lines.every((line) => line === "200")).toBe(true);
});

test("the value stands in clear in no file, argument, variable or log of the product", async () => {
  await using world = await startWorld();
  await using granted = await openGrantedApi(world);
  const { value, grant, policy, origin } = granted;
  await world.run(["curl", "-sS", "-H", "Authorization: Bearer mine", origin], { grants: [grant], policy });
  const listed = await world.cliJson(["credentials", "ls"]);
  expect(JSON.stringify(listed)).toContain(grant);
  expect(JSON.stringify(listed)).not.toContain(value);
  for (const { command, environment } of await world.processes()) {
    expect(command).not.toContain(value);
    expect(environment.join("\n")).not.toContain(value);
  }
  expect(world.daemon.log).not.toContain(value);
  expect(await findInFiles(world.paths.directory, value)).toEqual([]);
});

test("what crashes of the gate leaves none of its memory in a file, though the host would keep it", async () => {
  await using world = await startWorld();
  await using granted = await openGrantedApi(world);
  const { value, grant, policy, origin, api } = granted;
  const ask = () => world.run(["curl", "-sS", origin], { grants: [grant], policy });
  expect((await ask()).code).toBe(0);
  for (const role of ["worker", "holder"] as const) {
    const pids = await world.pids(role);
    for (const pid of pids) {
      // Where core files go to the directory of the process, that is the workspace: the daemon was started there.
      expect((await runProcess("prlimit", ["--core=unlimited", "--pid", String(pid)])).code).toBe(0);
      process.kill(pid, "SIGABRT");
      await eventually(`the end of a ${role}`, async () => !(await isAlive(pid)));
    }
  }
  const { code } = await ask();
  expect(code).toBe(0);
  expect(api.requests.length).toBe(2);
  expect(await readdir(world.paths.workspace)).toEqual([]);
  expect(await findInFiles(world.paths.directory, value)).toEqual([]);
});

test("records keep the names of query fields and drop their values", async () => {
  await using world = await startWorld();
  await using granted = await openGrantedApi(world);
  const { grant, policy, origin, value } = granted;
  await world.run(["curl", "-sS", `${origin}/find?name=ada-lovelace`], { grants: [grant], policy });
  const record = await world.record({ host: "api.example.test", decision: "allowed" });
  expect(record).toMatchObject({ method: "GET", status: 200, grants: [grant] });
  expect(record.url).toContain("/find?name");
  expect(JSON.stringify(record)).not.toContain("ada-lovelace");
  expect(JSON.stringify(record)).not.toContain(value);
});
