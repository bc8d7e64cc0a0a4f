import { cp, rename, writeFile } from "node:fs/promises";
import { eventually, type Fleet, startFleet } from "@gatehouse/testbed";
import { expect, test } from "vitest";

/** A second operator's machine with the organisation's key, as far as it knows the organisation now. */
async function copyMachine(fleet: Fleet): Promise<void> {
  await cp(fleet.path("o"), fleet.path("o2"), { recursive: true, preserveTimestamps: true });
}

const onSecond = (fleet: Fleet, args: readonly string[]) => fleet.json([...args, "--state-dir", fleet.path("o2")]);

async function enrollBySecond(fleet: Fleet, name: string): Promise<string> {
  const code = fleet.path(`${name}.code`);
  await onSecond(fleet, ["nodes", "enroll-code", "--out", code]);
  const claim = fleet.claim(name, code);
  const waiting = JSON.parse(await claim.line("the fingerprint", (line) => line.includes("fingerprint")));
  await onSecond(fleet, ["nodes", "confirm", name, "--fingerprint", waiting.fingerprint]);
  await claim.finished;
  return waiting.node_id;
}

async function startNode(fleet: Fleet, name: string): Promise<void> {
  const daemon = fleet.start(["node", "run", "--state-dir", fleet.path(name), "--json"]);
  await daemon.line("the node's ready line", (line) => line.includes('"ready":true'));
}

const statusOf = (fleet: Fleet, name: string) => fleet.json(["node", "status", "--state-dir", fleet.path(name)]);

async function followed(fleet: Fleet, name: string, version: number): Promise<void> {
  let last: unknown;
  await eventually(
    () => `${name} at version ${version}; it is at ${JSON.stringify(last)}`,
    async () => {
      last = await statusOf(fleet, name);
      const { roster_version, bundle_fault } = last as Record<string, unknown>;
      return roster_version === version && bundle_fault === null;
    },
  );
}

/**
 * n1 and n2 at the time of a backup. Then one machine revokes n2 and confirms n3; the server is put back, and the other
 * machine, which knows nothing of that, confirms n4: two versions of 4, and n1 has the first. Answers the ids.
 */
async function signApart(fleet: Fleet): Promise<{ readonly n2: string; readonly n3: string; readonly n4: string }> {
  await fleet.initOrg();
  await fleet.enrollHost("n1");
  const { nodeId: n2 } = await fleet.enrollHost("n2");
  await copyMachine(fleet);
  const backup = fleet.path("backup");
  await fleet.json(["server", "backup", "--state-dir", fleet.path("s"), "--out", backup]);
  await fleet.operator(["nodes", "revoke", "n2"]);
  const { nodeId: n3 } = await fleet.enrollHost("n3");
  const daemon = fleet.start(["node", "run", "--state-dir", fleet.path("n1"), "--json"]);
  await daemon.line("the node's ready line", (line) => line.includes('"ready":true'));
  await writeFile(fleet.path("value"), "no-real-value", { mode: 0o600 });
  const own = ["--service", "github", "--value-file", fleet.path("value"), "--nodes", "n1"];
  await fleet.operator(["credentials", "add", "first", ...own]);
  await followed(fleet, "n1", 4);
  daemon.kill("SIGTERM");
  await daemon.finished;
  await fleet.stopServer();
  await rename(fleet.path("s"), fleet.path("lost"));
  await fleet.json(["server", "restore", backup, "--state-dir", fleet.path("s")]);
  await fleet.startServer();
  return { n2, n3, n4: await enrollBySecond(fleet, "n4") };
}

test("rosters that were signed apart are said to be, change nothing, and are joined by a person: what was removed stays removed", async () => {
  await using fleet = await startFleet();
  const { n2, n3, n4 } = await signApart(fleet);
  const add = [
    "credentials",
    "add",
    "next",
    "--service",
    "github",
    "--value-file",
    fleet.path("value"),
    "--nodes",
    "n1",
  ];
  const refused = await fleet.run([...add, "--state-dir", fleet.path("o")]);
  expect(refused).toMatchObject({ code: 1 });
  expect(refused.stderr).toContain("signed apart");
  const shown = (await fleet.operator(["org", "roster", "show"])) as unknown;
  expect(shown).toMatchObject({ state: "split", machine: { version: 4, nodes: 2 }, server: { version: 4, nodes: 3 } });
  await startNode(fleet, "n1");
  await eventually("n1 says why it follows no more", async () =>
    String((await statusOf(fleet, "n1")).bundle_fault).includes("signed apart"),
  );

  const join = ["org", "roster", "join", "--state-dir", fleet.path("o")];
  const unasked = await fleet.run(join);
  expect(unasked).toMatchObject({ code: 2 });
  for (const id of [n2, n3, n4]) expect(unasked.stdout).toMatch(new RegExp(`left out.* ${id}`));
  expect(await fleet.run([...join, "--yes", "--keep", "n1"])).toMatchObject({ code: 2 });
  expect(((await fleet.operator(["org", "roster", "show"])) as { state: string }).state).toBe("split");

  const joined = await fleet.json([...join, "--yes", "--keep", n4, "--json"]);
  expect(joined).toMatchObject({ version: 5, nodes: 2, kept: [n4] });
  expect((joined as unknown as { left_out: string[] }).left_out.toSorted()).toEqual([n2, n3].toSorted());
  expect(await fleet.operator(["nodes", "ls"])).toMatchObject([{ name: "n1" }, { name: "n4" }]);
  await followed(fleet, "n1", 5);
  await startNode(fleet, "n4");
  await followed(fleet, "n4", 5);
  expect((await fleet.run(["node", "refresh", "--state-dir", fleet.path("n2")])).code).toBe(4);
  await fleet.operator(add);
  await onSecond(fleet, [...add.with(2, "from-o2")]);
  await enrollBySecond(fleet, "n5");
  await followed(fleet, "n1", 5);
  expect(await fleet.operator(["org", "roster", "show"])).toMatchObject({ state: "ahead", server: { version: 6 } });
});

test("a roster that only a node still has is joined from a file, and the node follows again; what a key that is left out sealed is named", async () => {
  await using fleet = await startFleet();
  await fleet.initOrg();
  await fleet.enrollHost("n1");
  await copyMachine(fleet);
  const backup = fleet.path("backup");
  await fleet.json(["server", "backup", "--state-dir", fleet.path("s"), "--out", backup]);
  await fleet.enrollHost("n2");
  await fleet.stopServer();
  for (const [from, to] of [
    ["s", "lost"],
    ["o", "lost-o"],
    ["o2", "o"],
  ] as const) {
    await rename(fleet.path(from), fleet.path(to));
  }
  await fleet.json(["server", "restore", backup, "--state-dir", fleet.path("s")]);
  await fleet.startServer();
  await fleet.enrollHost("n3");
  await sealByNewKey(fleet, "theirs");
  const file = fleet.path("n2-roster.json");
  expect((await fleet.run(["node", "roster", "--out", file, "--state-dir", fleet.path("n2")])).code).toBe(0);
  const forged = fleet.path("forged.json");
  await writeFile(
    forged,
    (await fleet.run(["node", "roster", "--state-dir", fleet.path("n2")])).stdout.replace('"version":3', '"version":7'),
  );
  const join = ["org", "roster", "join", "--yes"];
  expect(await fleet.run([...join, "--other", forged, "--state-dir", fleet.path("o")])).toMatchObject({ code: 4 });
  expect(await fleet.run([...join, "--state-dir", fleet.path("o")])).toMatchObject({ code: 2 });
  const unasked = await fleet.run(["org", "roster", "join", "--other", file, "--state-dir", fleet.path("o")]);
  expect(unasked).toMatchObject({ code: 2 });
  expect(unasked.stdout).toContain("gatehouse revoke theirs && gatehouse credentials add theirs");
  expect(await fleet.operator([...join, "--other", file, "--keep", "n3"])).toMatchObject({
    version: 5,
    nodes: 2,
    to_reseal: ["theirs"],
  });
  expect(await fleet.operator(["nodes", "ls"])).toMatchObject([{ name: "n1" }, { name: "n3" }]);
  await startNode(fleet, "n3");
  await followed(fleet, "n3", 5);
  await startNode(fleet, "n1");
  await followed(fleet, "n1", 5);
  const refused = [{ name: "theirs", reason: expect.stringContaining("no operator of the roster") }];
  expect(await statusOf(fleet, "n1")).toMatchObject({ bundle_fault: null, credentials_refused: refused });
  const value = ["--service", "github", "--value-file", fleet.path("value"), "--nodes", "n1"];
  await fleet.operator(["revoke", "theirs"]);
  await fleet.operator(["credentials", "add", "theirs", ...value]);
  await eventually("n1 serves what was sealed anew", async () => {
    const { credentials_refused: left } = (await statusOf(fleet, "n1")) as { credentials_refused?: readonly unknown[] };
    return left?.length === 0;
  });
});

/** Seals a credential by an operator key that stands on no other machine's roster. */
async function sealByNewKey(fleet: Fleet, name: string): Promise<void> {
  const file = fleet.path("o", "operator", "operator.key");
  await rename(file, fleet.path("own.key"));
  const { operator_key: key } = (await fleet.operator(["org", "operator-key"])) as { operator_key: string };
  await fleet.operator(["org", "certify", key]);
  await writeFile(fleet.path("value"), "no-real-value", { mode: 0o600 });
  const own = ["--service", "github", "--value-file", fleet.path("value"), "--nodes", "n1"];
  await fleet.operator(["credentials", "add", name, ...own]);
  await rename(fleet.path("own.key"), file);
}
