import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { eventually, type Fleet, findInFiles, startFleet } from "@gatehouse/testbed";
import { expect, test } from "vitest";

const VALUE = "ghp_0123456789abcdefghijklmnopqrstuvwxyz";

async function startNode(fleet: Fleet, name: string) {
  const daemon = fleet.start(["node", "run", "--state-dir", fleet.path(name), "--json"]);
  await daemon.line("the node's ready line", (line) => line.includes('"ready":true'));
  return daemon;
}

async function grantsOf(fleet: Fleet, name: string): Promise<readonly string[]> {
  const listed = (await fleet.json(["credentials", "ls", "--state-dir", fleet.path(name)])) as { name: string }[];
  return listed.map((one) => one.name);
}

async function sealTo(fleet: Fleet, name: string, nodes: string): Promise<void> {
  await writeFile(fleet.path("value"), VALUE, { mode: 0o600 });
  const own = ["--service", "github", "--value-file", fleet.path("value"), "--nodes", nodes];
  await fleet.operator(["credentials", "add", name, ...own]);
}

/** The organisation's keys are in a safe, and no longer on the operator's machine. */
async function putAwayOrgKeys(fleet: Fleet): Promise<void> {
  await mkdir(fleet.path("safe"), { mode: 0o700 });
  for (const name of ["org.key", "org-encryption.key"]) {
    await rename(fleet.path("o", "operator", name), fleet.path("safe", name));
  }
}

test("a node seals a credential onward by an operator's signature, without the organisation's key; its value is nowhere on the way", async () => {
  await using fleet = await startFleet();
  await fleet.initOrg();
  await fleet.enrollHost("n1");
  await fleet.enrollHost("n2");
  await sealTo(fleet, "gh", "n1");
  await putAwayOrgKeys(fleet);
  const reseal = ["credentials", "reseal", "gh", "--nodes", "n2"];
  const alone = await fleet.run([...reseal, "--state-dir", fleet.path("o")]);
  expect(alone).toMatchObject({ code: 1, stderr: expect.stringContaining("is online") });
  expect(await fleet.operator(["credentials", "ls"])).toMatchObject([{ nodes: ["n1"] }]);
  const first = await startNode(fleet, "n1");
  await eventually("n1 serves it", async () => (await grantsOf(fleet, "n1")).includes("gh"));
  await fleet.operator([...reseal, "--via", "n1"]);
  expect(await fleet.operator(["credentials", "ls"])).toMatchObject([{ version: 1, nodes: ["n1", "n2"] }]);
  await startNode(fleet, "n2");
  await eventually("n2 serves it", async () => (await grantsOf(fleet, "n2")).includes("gh"));
  const onHost = ["--state-dir", fleet.path("n1")];
  await fleet.json(["audit", "export", "--out", fleet.path("n1.jsonl"), ...onHost]);
  expect(await readFile(fleet.path("n1.jsonl"), "utf8")).toContain('"credential.resealed"');
  expect(`${fleet.serverLog}${first.stdout}${first.stderr}`).not.toContain(VALUE);
  expect(await findInFiles(fleet.path("s"), VALUE)).toEqual([]);
});

test("a node that is connected seals onward to one that was put on the roster since", async () => {
  await using fleet = await startFleet();
  await fleet.initOrg();
  await fleet.enrollHost("n1");
  await sealTo(fleet, "gh", "n1");
  await startNode(fleet, "n1");
  await eventually("n1 serves it", async () => (await grantsOf(fleet, "n1")).includes("gh"));
  await fleet.enrollHost("n2");
  await fleet.operator(["credentials", "reseal", "gh", "--nodes", "n2", "--via", "n1"]);
  await startNode(fleet, "n2");
  await eventually("n2 serves it", async () => (await grantsOf(fleet, "n2")).includes("gh"));
});

test("a transfer gives labels and credentials to another node and takes them from the first, which is cordoned", async () => {
  await using fleet = await startFleet();
  await fleet.initOrg();
  await fleet.enrollHost("n1", ["--label", "zone=a"]);
  await fleet.enrollHost("n2", ["--label", "kind=big"]);
  await sealTo(fleet, "gh", "n1");
  await sealTo(fleet, "both", "n1,n2");
  await startNode(fleet, "n1");
  await startNode(fleet, "n2");
  await eventually("n1 serves both", async () => (await grantsOf(fleet, "n1")).length === 2);
  await putAwayOrgKeys(fleet);
  expect(await fleet.operator(["nodes", "transfer", "n1", "n2"])).toEqual({
    from: "n1",
    to: "n2",
    credentials: ["both", "gh"],
  });
  await eventually("n2 serves both", async () => (await grantsOf(fleet, "n2")).length === 2);
  await eventually("n1 serves none", async () => (await grantsOf(fleet, "n1")).length === 0);
  expect(await fleet.operator(["credentials", "ls"])).toMatchObject([{ nodes: ["n2"] }, { nodes: ["n2"] }]);
  expect(await fleet.operator(["nodes", "ls"])).toMatchObject([
    { name: "n1", labels: {}, cordoned: true },
    { name: "n2", labels: { kind: "big", zone: "a" }, cordoned: false },
  ]);
  expect(await fleet.operator(["nodes", "transfer", "n1", "n2"])).toMatchObject({ credentials: [] });
  const itself = await fleet.run(["nodes", "transfer", "n2", "n2", "--state-dir", fleet.path("o")]);
  expect(itself.code).not.toBe(0);
  expect(await fleet.operator(["nodes", "show", "n2"])).toMatchObject({ cordoned: false });
});

test("a credential that a revoked node could open is sealed to its replacement without a new value, and stays pending", async () => {
  await using fleet = await startFleet();
  await fleet.initOrg();
  await fleet.enrollHost("n1");
  await fleet.enrollHost("n2");
  await sealTo(fleet, "gh", "n1");
  await fleet.operator(["nodes", "revoke", "n1"]);
  await fleet.operator(["credentials", "reseal", "gh", "--nodes", "n2"]);
  expect(await fleet.operator(["credentials", "ls"])).toMatchObject([
    { version: 1, nodes: ["n2"], rotation_pending: true },
  ]);
  await startNode(fleet, "n2");
  await eventually("n2 serves it", async () => (await grantsOf(fleet, "n2")).includes("gh"));
});

test("an operator whose key the organisation certified seals on a machine without its key, until that ends", async () => {
  await using fleet = await startFleet();
  await fleet.initOrg();
  await fleet.enrollHost("n1");
  const onOther = ["--state-dir", fleet.path("p")];
  await mkdir(fleet.path("p"), { mode: 0o700 });
  const key = fleet.path("bob.key");
  await fleet.operator(["members", "add", "bob", "--role", "admin"]);
  const made = ["--label", "bob", "--member", "bob", "--role", "admin", "--out", key];
  await fleet.operator(["api-keys", "create", ...made]);
  const { pin } = await fleet.operator(["org", "pin"]);
  await fleet.json(["login", "--server", fleet.url, "--pin", pin, "--api-key-file", key, ...onOther]);
  await writeFile(fleet.path("value"), VALUE, { mode: 0o600 });
  const own = ["--service", "github", "--value-file", fleet.path("value"), "--nodes", "n1"];
  const early = await fleet.run(["credentials", "add", "gh", ...own, ...onOther]);
  expect(early.code).not.toBe(0);
  expect(await fleet.operator(["credentials", "ls"])).toEqual([]);
  const { operator_key: bobs } = await fleet.json(["org", "operator-key", ...onOther]);
  const uncertified = await fleet.run(["org", "certify", bobs, ...onOther]);
  expect(uncertified.code).not.toBe(0);
  expect(await fleet.operator(["org", "certify", bobs])).toMatchObject({ state: "certified", changed: true });
  expect(await fleet.operator(["org", "certify", bobs])).toMatchObject({ changed: false });
  expect(await fleet.json(["org", "operators", ...onOther])).toMatchObject([
    { is_this_machine: false },
    { operator_key: bobs, is_this_machine: true },
  ]);
  await fleet.json(["credentials", "add", "gh", ...own, ...onOther]);
  await startNode(fleet, "n1");
  await eventually("n1 serves it", async () => (await grantsOf(fleet, "n1")).includes("gh"));
  const inUse = await fleet.run(["org", "decertify", bobs, "--state-dir", fleet.path("o")]);
  expect(inUse).toMatchObject({ code: 1, stderr: expect.stringContaining("gh") });
  await fleet.operator(["credentials", "add", "gh", "--replace", ...own]);
  const rosterOfNode = async () =>
    (await fleet.json(["node", "status", "--state-dir", fleet.path("n1")])).roster_version;
  const before = await rosterOfNode();
  await fleet.operator(["org", "decertify", bobs]);
  await eventually("the node hears that bob's key counts no more", async () => (await rosterOfNode()) === before + 1);
  const late = await fleet.run(["credentials", "add", "other", ...own, ...onOther]);
  expect(late.code).not.toBe(0);
  expect(await fleet.operator(["credentials", "ls"])).toMatchObject([{ name: "gh", version: 2 }]);
});
