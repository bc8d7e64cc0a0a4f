import { randomBytes, randomUUID } from "node:crypto";
import { systemClock } from "@gatehouse/core";
import { expect, test } from "vitest";
import { openStore } from "../src/store/open-store.ts";
import type { OrgTransaction } from "../src/store/org-transaction.ts";
import { DATABASES } from "./databases.ts";

test.each(DATABASES)(
  "on $name a generation is raised for the live nodes of one organisation alone",
  async ({ open }) => {
    await using database = await open();
    await using store = await openStore(database.location, systemClock);
    const [own, other] = [randomUUID(), randomUUID()];
    const [first, second, gone] = await store.inOrg(own, (tx) => insertNodes(tx, ["first", "second", "gone"]));
    const [foreign] = await store.inOrg(other, (tx) => insertNodes(tx, ["first"]));
    await store.inOrg(own, (tx) => tx.nodes.update(gone, { isDeleted: true }));
    const raised = await store.inOrg(own, (tx) => tx.nodes.raiseGenerations([first, gone, foreign, randomUUID()]));
    expect(raised).toMatchObject([{ id: first, name: "first", generation: 1 }]);
    expect(await store.inOrg(own, (tx) => tx.nodes.find(second))).toMatchObject({ generation: 0 });
    expect(await store.inOrg(other, (tx) => tx.nodes.find(foreign))).toMatchObject({ generation: 0 });
    expect(await store.inOrg(own, (tx) => tx.nodes.raiseGenerations([]))).toEqual([]);
  },
);

test.each(DATABASES)("on $name a revocation is kept for each node until that node has applied it", async ({ open }) => {
  await using database = await open();
  await using store = await openStore(database.location, systemClock);
  const orgId = randomUUID();
  const ids = await store.inOrg(orgId, (tx) => insertNodes(tx, ["quick", "slow"]));
  const [quick, slow] = ids;
  const revoke = (credentialId: string) =>
    store.inOrg(orgId, async (tx) => tx.revocations.addAll(await tx.nodes.raiseGenerations(ids), [credentialId]));
  await revoke("one");
  await store.inOrg(orgId, (tx) => tx.nodes.update(quick, { appliedGeneration: 1 }));
  await revoke("two");
  const listed = (nodeId: string) => store.inOrg(orgId, (tx) => tx.revocations.listOfNode(nodeId, 0));
  expect(await listed(quick)).toEqual([{ epoch: 1, generation: 2, ids: ["two"] }]);
  expect(await listed(slow)).toEqual([
    { epoch: 1, generation: 1, ids: ["one"] },
    { epoch: 1, generation: 2, ids: ["two"] },
  ]);
});

/** An organisation and its nodes, in epoch 1. Their ids, in order. */
async function insertNodes<const Names extends readonly string[]>(
  tx: OrgTransaction,
  names: Names,
): Promise<{ readonly [At in keyof Names]: string }> {
  const bytes = (length: number) => new Uint8Array(randomBytes(length));
  const keys = { orgKey: bytes(32), orgEncryptionKey: bytes(32), createdBySha256: bytes(32) };
  await tx.org.insert({ id: tx.orgId, name: tx.orgId, ...keys });
  const nodes = names.map((name) => ({ id: randomUUID() as string, name }));
  for (const node of nodes) {
    const own = { identityKey: bytes(32), encryptionKey: bytes(32), caKey: bytes(91) };
    await tx.nodes.insert({ ...node, ...own, labels: {}, epoch: 1 });
  }
  return nodes.map(({ id }) => id) as { readonly [At in keyof Names]: string };
}
