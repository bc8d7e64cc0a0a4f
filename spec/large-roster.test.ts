import { randomBytes, randomUUID } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { Problem, rosterTuple } from "@gatehouse/core";
import { describeRoster, readRosterDocument, readSigningKey } from "@gatehouse/kit";
import { eventually, type Fleet, startFleet } from "@gatehouse/testbed";
import { expect, test } from "vitest";

const NODES = 20_000;

/** What the operator's machine knows is handed to the server by its next command: a roster that names so many more nodes. */
async function growRoster(fleet: Fleet): Promise<void> {
  const path = fleet.path("o", "operator", "roster.json");
  const orgKey = await readSigningKey(fleet.path("o", "operator", "org.key"));
  if (orgKey === undefined) throw new Problem("org.key_missing");
  const before = readRosterDocument(JSON.parse(await readFile(path, "utf8")));
  const bytes = (length: number) => new Uint8Array(randomBytes(length));
  const others = Array.from({ length: NODES }, () => {
    return { nodeId: randomUUID(), identityKey: bytes(32), encryptionKey: bytes(32), caKey: bytes(91) };
  });
  const nodes = [...before.nodes, ...others];
  const roster = { ...before, version: before.version + 1, issuedAt: Date.now(), nodes };
  const signed = { ...roster, signer: orgKey.publicKey, signature: orgKey.sign(rosterTuple(roster)) };
  await writeFile(path, JSON.stringify(describeRoster(signed)), { mode: 0o600 });
  await fleet.operator(["org", "operators"]);
}

test("a node follows a roster of 20,000 nodes, which no message of its server can hold", async () => {
  await using fleet = await startFleet();
  await fleet.initOrg();
  await fleet.enrollHost("n1");
  const onNode = ["--state-dir", fleet.path("n1")];
  const daemon = fleet.start(["node", "run", ...onNode, "--json"]);
  await daemon.line("the node's ready line", (line) => line.includes('"ready":true'));
  await growRoster(fleet);
  const status = () => fleet.json(["node", "status", ...onNode]);
  await eventually("the node has the roster", async () => (await status()).roster_version === 3, { timeoutMs: 60_000 });
  expect(await status()).toMatchObject({ connected: true, bundle_fault: null });
  const held = await readFile(fleet.path("n1", "node.json"), "utf8");
  expect(JSON.parse(held).roster.nodes).toHaveLength(NODES + 1);
});
