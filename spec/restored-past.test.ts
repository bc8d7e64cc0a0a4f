import { rename, writeFile } from "node:fs/promises";
import { eventually, type Fleet, startFleet } from "@gatehouse/testbed";
import { expect, test } from "vitest";

async function startNode(fleet: Fleet, name: string) {
  const daemon = fleet.start(["node", "run", "--state-dir", fleet.path(name), "--json"]);
  await daemon.line("the node's ready line", (line) => line.includes('"ready":true'));
  return daemon;
}

const addCredential = (fleet: Fleet, name: string, nodes: string) =>
  fleet.operator([
    ...["credentials", "add", name, "--nodes", nodes, "--service", "github", "--value-file", fleet.path("value")],
  ]);

async function servedAtN1(fleet: Fleet, names: string): Promise<void> {
  await eventually(`n1 serves ${names}`, async () => {
    const listed = (await fleet.json(["credentials", "ls", "--state-dir", fleet.path("n1")])) as unknown;
    const served = (listed as { name: string }[]).map(({ name }) => name);
    return served.toSorted().join() === names;
  });
}

/** The server is put back from a backup without an exported log. */
async function putBack(fleet: Fleet, backup: string, away = "lost"): Promise<void> {
  await fleet.stopServer();
  await rename(fleet.path("s"), fleet.path(away));
  expect(await fleet.json(["server", "restore", backup, "--state-dir", fleet.path("s")])).toEqual({ epoch: 2 });
  await fleet.startServer();
}

/** n1 and n2 at the time of the backup; then `gone` and n2 are taken back and n3 comes, which strikes n2. */
async function loseSomething(fleet: Fleet): Promise<string> {
  await fleet.initOrg();
  for (const name of ["n1", "n2"]) await fleet.enrollHost(name);
  await writeFile(fleet.path("value"), "no-real-value", { mode: 0o600 });
  for (const name of ["keep", "gone"]) await addCredential(fleet, name, "n1,n2");
  await startNode(fleet, "n1");
  await servedAtN1(fleet, "gone,keep");
  await fleet.operator(["nodes", "ping", "n1"]);
  const backup = fleet.path("backup");
  await fleet.json(["server", "backup", "--state-dir", fleet.path("s"), "--out", backup]);
  await fleet.operator(["revoke", "gone"]);
  await fleet.operator(["nodes", "revoke", "n2"]);
  await fleet.enrollHost("n3");
  await addCredential(fleet, "lost", "n1");
  // The server will not know of it, nor that its number is taken.
  await fleet.operator(["nodes", "ping", "n1"]);
  // The bundle that brings it brings the roster of now, too.
  await servedAtN1(fleet, "keep,lost");
  return backup;
}

test("a node tells a server that was put back what it took back and which roster holds; all of it is served again", async () => {
  await using fleet = await startFleet();
  await putBack(fleet, await loseSomething(fleet));
  const names = async (verb: "nodes" | "credentials") =>
    ((await fleet.operator([verb, "ls"])) as { name: string }[]).map(({ name }) => name);
  await eventually("what was taken back is again", async () => (await names("credentials")).join() === "keep");
  await eventually("n2 is none any more", async () => (await names("nodes")).join() === "n1");
  const refused = await fleet.run(["node", "refresh", "--state-dir", fleet.path("n2")]);
  expect(refused.code).toBe(4);
  await addCredential(fleet, "new", "n1");
  await servedAtN1(fleet, "keep,new");
  await fleet.operator(["nodes", "ping", "n1"]);
  expect(await fleet.operator(["nodes", "ls"])).toMatchObject([{ name: "n1", audit: "ok" }]);
});

test("a backup that is put back twice opens the same epoch with other keys: nobody follows it until a further one is opened", async () => {
  await using fleet = await startFleet();
  const backup = await loseSomething(fleet);
  await putBack(fleet, backup);
  const ls = ["credentials", "ls", "--state-dir", fleet.path("o"), "--json"];
  await eventually("what was taken back is again", async () => !(await fleet.run(ls)).stdout.includes("gone"));
  await fleet.operator(["revoke", "keep"]);
  await servedAtN1(fleet, "");
  await putBack(fleet, backup, "lost-again");
  const refused = await fleet.run(ls);
  expect(refused).toMatchObject({ code: 4, stdout: "" });
  expect(refused.stderr).toContain("server recover");
  const status = await fleet.run(["node", "refresh", "--state-dir", fleet.path("n1")]);
  expect(status.code).toBe(4);
  await servedAtN1(fleet, "");

  await fleet.stopServer();
  expect(await fleet.json(["server", "recover", "--state-dir", fleet.path("s")])).toEqual({ epoch: 3 });
  await fleet.startServer();
  await eventually("what was taken back in the epoch of before is again", async () => {
    const { code, stdout } = await fleet.run(ls);
    return code === 0 && JSON.parse(stdout).length === 0;
  });
  await addCredential(fleet, "new", "n1");
  await servedAtN1(fleet, "new");
});

test("an operator's machine gives a server that was put back the roster that it knows", async () => {
  await using fleet = await startFleet();
  await fleet.initOrg();
  for (const name of ["n1", "n2"]) await fleet.enrollHost(name);
  await writeFile(fleet.path("value"), "no-real-value", { mode: 0o600 });
  const backup = fleet.path("backup");
  await fleet.json(["server", "backup", "--state-dir", fleet.path("s"), "--out", backup]);
  await fleet.operator(["nodes", "revoke", "n2"]);
  for (const name of ["n3", "n4"]) await fleet.enrollHost(name);
  await putBack(fleet, backup);
  await addCredential(fleet, "new", "n1");
  expect(await fleet.operator(["nodes", "ls"])).toMatchObject([{ name: "n1" }]);
  await fleet.enrollHost("n5");
  expect(await fleet.operator(["nodes", "ls"])).toMatchObject([{ name: "n1" }, { name: "n5" }]);
});
