import { writeFile } from "node:fs/promises";
import { findInFiles, startFleet } from "@gatehouse/testbed";
import { expect, test } from "vitest";

const VALUE = "ghp_0123456789abcdefghijklmnopqrstuvwxyz";

test("a credential is sealed on the operator's machine, and the server never holds its value", async () => {
  await using fleet = await startFleet();
  await fleet.initOrg();
  await fleet.enrollHost("n1");
  await fleet.enrollHost("n2");
  await writeFile(fleet.path("value"), VALUE, { mode: 0o600 });
  const own = ["--service", "github", "--value-file", fleet.path("value")];
  expect(await fleet.operator(["credentials", "add", "gh", "--nodes", "n1", ...own])).toMatchObject({
    name: "gh",
    version: 1,
    nodes: ["n1"],
  });
  const again = await fleet.run(["credentials", "add", "gh", "--nodes", "n1", ...own, "--state-dir", fleet.path("o")]);
  expect(again.code).toBe(1);
  expect(await fleet.operator(["credentials", "add", "gh", "--nodes", "n1", "--replace", ...own])).toMatchObject({
    version: 2,
  });
  await fleet.operator(["credentials", "reseal", "gh", "--nodes", "n2"]);
  expect(await fleet.operator(["credentials", "ls"])).toMatchObject([
    { name: "gh", version: 2, nodes: ["n1", "n2"], rotation_pending: false },
  ]);
  expect(await fleet.operator(["nodes", "revoke", "n2"])).toMatchObject({ rotation_pending: ["gh"] });
  expect(await fleet.operator(["credentials", "ls"])).toMatchObject([{ nodes: ["n1"], rotation_pending: true }]);
  await fleet.operator(["revoke", "gh"]);
  expect(await fleet.operator(["credentials", "ls"])).toEqual([]);
  expect(fleet.serverLog).not.toContain(VALUE);
  expect(await findInFiles(fleet.path("s"), VALUE)).toEqual([]);
  expect(await findInFiles(fleet.path("o"), VALUE)).toEqual([]);
});
