import { writeFile } from "node:fs/promises";
import { startFleet } from "@gatehouse/testbed";
import { expect, test } from "vitest";

const GOOD = "mode: permissive\nrules:\n  - action: deny\n    hosts: [paste.example.com]\n";

test("an operator puts, shows, assigns and takes away a policy, and sees who changed it", async () => {
  await using fleet = await startFleet();
  await fleet.initOrg();
  const file = fleet.path("policy.yaml");
  await writeFile(file, GOOD);
  expect(await fleet.operator(["policy", "apply", "egress", file])).toEqual({
    name: "egress",
    version: 1,
    changed: true,
  });
  expect(await fleet.operator(["policy", "apply", "egress", file])).toEqual({
    name: "egress",
    version: 1,
    changed: false,
  });
  const own = ["--state-dir", fleet.path("o")];
  const shown = await fleet.run(["policy", "show", "egress", ...own]);
  await writeFile(file, shown.stdout);
  expect(await fleet.operator(["policy", "apply", "egress", file])).toMatchObject({ changed: false });
  await writeFile(file, GOOD.replace("paste", "bin"));
  const late = await fleet.run(["policy", "apply", "egress", file, "--expect", "7", ...own]);
  expect(late).toMatchObject({ code: 4, stdout: "" });
  expect(await fleet.operator(["policy", "apply", "egress", file, "--expect", "1"])).toMatchObject({ version: 2 });
  expect(await fleet.operator(["policy", "history", "egress"])).toMatchObject([
    { version: 2, changed_by: "operator:ada", sha256: expect.stringMatching(/^[0-9a-f]{64}$/) },
    { version: 1, changed_by: "operator:ada" },
  ]);
  const first = await fleet.operator(["policy", "show", "egress", "--version", "1"]);
  expect(first).toMatchObject({ policy: { rules: [{ hosts: ["paste.example.com"] }] } });
  expect((await fleet.run(["policy", "assign", "egress", ...own])).code).toBe(2);
  await fleet.operator(["policy", "assign", "egress", "--label", "zone=east"]);
  expect(await fleet.operator(["policy", "ls"])).toMatchObject([
    { name: "egress", version: 2, labels: { zone: "east" }, changed_by: "operator:ada" },
  ]);
  await fleet.operator(["policy", "rm", "egress"]);
  expect(await fleet.operator(["policy", "ls"])).toEqual([]);
  expect((await fleet.run(["policy", "show", "egress", ...own])).code).toBe(5);
});

test("a file that is wrong is refused with line and column before the server is asked, also from standard input", async () => {
  await using fleet = await startFleet();
  await fleet.initOrg();
  await fleet.stopServer();
  const own = ["--state-dir", fleet.path("o")];
  const file = fleet.path("wrong.yaml");
  await writeFile(file, GOOD.replace("action: deny", "action: maybe"));
  const told = await fleet.run(["policy", "apply", "egress", file, ...own]);
  expect(told).toMatchObject({ code: 2, stdout: "" });
  expect(told.stderr).toContain(`${file}:3:`);
  const piped = await fleet.run(["policy", "apply", "egress", "-", ...own], "mode: [");
  expect(piped.code).toBe(2);
  expect(piped.stderr).toMatch(/ -:1:\d+: /);
  await writeFile(file, `${GOOD}  - action: allow\n    hosts: ["api.example.com:80"]\n`);
  const unreached = await fleet.run(["policy", "apply", "egress", file, ...own]);
  expect(unreached.code).toBe(6);
  expect(unreached.stderr).toContain(`${file}:5:5: Port 80 is cleartext: no credential is attached`);
});
