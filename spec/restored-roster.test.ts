import { rename, writeFile } from "node:fs/promises";
import { eventually, startFleet } from "@gatehouse/testbed";
import { expect, test } from "vitest";

test("after a restore whose backup knows an older roster, an operator's machine brings the newest one back, and node and organisation go on", async () => {
  await using fleet = await startFleet();
  await fleet.initOrg();
  await fleet.enrollHost("n1");
  await writeFile(fleet.path("value"), "no-real-value", { mode: 0o600 });
  const add = (name: string) => {
    const own = ["--service", "github", "--value-file", fleet.path("value"), "--nodes", "n1"];
    return fleet.operator(["credentials", "add", name, ...own]);
  };
  await add("before");
  const backup = fleet.path("backup");
  await fleet.json(["server", "backup", "--state-dir", fleet.path("s"), "--out", backup]);
  for (const name of ["n2", "n3"]) await fleet.enrollHost(name);
  const onNode = ["--state-dir", fleet.path("n1")];
  const daemon = fleet.start(["node", "run", ...onNode, "--json"]);
  await daemon.line("the node's ready line", (line) => line.includes('"ready":true'));
  const rosterOfNode = async () => (await fleet.json(["node", "status", ...onNode])).roster_version;
  await eventually("the node has the newest roster", async () => (await rosterOfNode()) === 4);
  await fleet.stopServer();
  await rename(fleet.path("s"), fleet.path("lost"));
  await fleet.json(["server", "restore", backup, "--state-dir", fleet.path("s")]);
  await fleet.startServer();
  await add("after");
  await eventually("the node serves what was sealed since", async () => {
    const listed = (await fleet.json(["credentials", "ls", ...onNode])) as { name: string }[];
    return listed.length === 2 && listed.some(({ name }) => name === "after");
  });
  await fleet.enrollHost("n4");
  expect(await fleet.operator(["nodes", "ls"])).toMatchObject([{ name: "n1" }, { name: "n4" }]);
  await add("later");
  await eventually("the node follows the roster", async () => (await rosterOfNode()) === 5);
});
