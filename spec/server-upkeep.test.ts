import { readFile, rename, rm, stat } from "node:fs/promises";
import { type Fleet, startFleet } from "@gatehouse/testbed";
import { expect, test } from "vitest";

const epochOf = async (path: string) =>
  (JSON.parse(await readFile(path, "utf8")) as { key_set: { epoch: number } }).key_set.epoch;

/** Whether node and operator still get on with the server, by keys that they pinned long ago. */
async function expectAllWell(fleet: Fleet, epoch: number): Promise<void> {
  await fleet.json(["node", "refresh", "--state-dir", fleet.path("n1")]);
  expect(await fleet.operator(["nodes", "ls"])).toMatchObject([{ name: "n1", state: "confirmed" }]);
  expect(await epochOf(fleet.path("n1", "node.json"))).toBe(epoch);
  expect(await epochOf(fleet.path("o", "operator", "server.json"))).toBe(epoch);
}

test("new keys: nodes and operators follow by the pinned identity key, codes of before are void", async () => {
  await using fleet = await startFleet();
  await fleet.initOrg();
  await fleet.enrollHost("n1");
  const code = fleet.path("code");
  await fleet.operator(["nodes", "enroll-code", "--out", code]);
  const busy = await fleet.run(["server", "recover", "--state-dir", fleet.path("s")]);
  expect(busy.code).not.toBe(0);
  await expectAllWell(fleet, 1);
  await fleet.stopServer();
  for (const epoch of [2, 3]) {
    expect(await fleet.json(["server", "recover", "--state-dir", fleet.path("s")])).toEqual({ epoch });
  }
  await fleet.startServer();
  await expectAllWell(fleet, 3);
  const late = await fleet.run([
    "node",
    "enroll",
    "--server",
    fleet.url,
    "--code-file",
    code,
    "--name",
    "n2",
    "--state-dir",
    fleet.path("n2"),
  ]);
  expect(late).toMatchObject({ code: 4, stderr: expect.stringContaining("cannot be used") });
  await fleet.enrollHost("n3");
});

test("a server that moves by backup and restore is followed; what stood in its place before is not", async () => {
  await using fleet = await startFleet();
  await fleet.initOrg();
  await fleet.enrollHost("n1");
  const file = fleet.path("backup");
  await fleet.json(["server", "backup", "--state-dir", fleet.path("s"), "--out", file]);
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  await fleet.stopServer();
  await rename(fleet.path("s"), fleet.path("lost"));
  expect(await fleet.json(["server", "restore", file, "--state-dir", fleet.path("s")])).toEqual({ epoch: 2 });
  await fleet.startServer();
  await expectAllWell(fleet, 2);
  const again = await fleet.run(["server", "restore", file, "--state-dir", fleet.path("s")]);
  expect(again.code).toBe(2);
  await fleet.stopServer();
  await rm(fleet.path("s"), { recursive: true });
  await rename(fleet.path("lost"), fleet.path("s"));
  await fleet.startServer();
  const rolledBack = await fleet.run(["node", "refresh", "--state-dir", fleet.path("n1")]);
  expect(rolledBack.code).toBe(4);
  expect(await epochOf(fleet.path("n1", "node.json"))).toBe(2);
});

test("a stranger at the server's address gets nothing, whatever epoch it claims", async () => {
  await using fleet = await startFleet();
  await fleet.initOrg();
  await fleet.enrollHost("n1");
  await fleet.stopServer();
  await rename(fleet.path("s"), fleet.path("real"));
  await fleet.json(["server", "migrate", "--state-dir", fleet.path("s")]);
  for (const epoch of [2, 3]) {
    expect(await fleet.json(["server", "recover", "--state-dir", fleet.path("s")])).toEqual({ epoch });
  }
  await fleet.startServer();
  const refused = await fleet.run(["node", "refresh", "--state-dir", fleet.path("n1")]);
  expect(refused.code).not.toBe(0);
  expect(await epochOf(fleet.path("n1", "node.json"))).toBe(1);
  expect(fleet.serverLog).not.toContain("BeginAuthHandshake");
});
