import { eventually, type Fleet, startFleet } from "@gatehouse/testbed";
import { expect, test } from "vitest";

test("a command runs in a sandbox of a node: its output is shown and its code is the command's", async () => {
  await using fleet = await startFleet();
  await startNode(fleet, "n1");
  const shown = await fleet.run(["run", "--node", "n1", "--state-dir", fleet.path("o"), "--", ...SHELL, "pwd; exit 7"]);
  expect(shown).toMatchObject({ code: 7, stdout: expect.stringContaining("gatehouse/workspaces") });
});

const SHELL = ["sh", "-c"] as const;

/** An enrolled host with its daemon, online. */
async function startNode(fleet: Fleet, name: string) {
  await fleet.initOrg();
  await fleet.enrollHost(name);
  const daemon = fleet.start(["node", "run", "--state-dir", fleet.path(name), "--json"]);
  await daemon.line("the node's ready line", (line) => line.includes('"ready":true'));
  await eventually("the node is online", async () => {
    const nodes = (await fleet.operator(["nodes", "ls"])) as { name: string; connected: boolean }[];
    return nodes.find((node) => node.name === name)?.connected === true ? true : undefined;
  });
  return daemon;
}
