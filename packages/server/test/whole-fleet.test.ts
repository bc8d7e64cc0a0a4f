import { randomBytes, randomUUID } from "node:crypto";
import { systemClock, systemRandom } from "@gatehouse/core";
import { expect, test } from "vitest";
import { issueApiKey } from "../src/orgs/api-key.ts";
import { openStore } from "../src/store/open-store.ts";
import type { OrgTransaction } from "../src/store/org-transaction.ts";
import type { Store } from "../src/store/store.ts";
import { lookForStreams } from "../src/streams/look-for-streams.ts";
import { SharedTransactions } from "../src/streams/shared-transactions.ts";
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
  const unapplied = await store.inOrg(orgId, (tx) => tx.revocations.listUnapplied(ids));
  expect(unapplied.get(quick)).toEqual([{ epoch: 1, generation: 2, ids: ["two"] }]);
  expect(unapplied.get(slow)).toEqual([
    { epoch: 1, generation: 1, ids: ["one"] },
    { epoch: 1, generation: 2, ids: ["two"] },
  ]);
  await store.inOrg(orgId, (tx) => tx.nodes.update(quick, { appliedGeneration: 2 }));
  expect([...(await store.inOrg(orgId, (tx) => tx.revocations.listUnapplied(ids))).keys()]).toEqual([slow]);
});

test.each(DATABASES)(
  "on $name streams that ask at once share a look, and each hears what is for it",
  async ({ open }) => {
    await using database = await open();
    await using store = await openStore(database.location, systemClock);
    const orgId = randomUUID();
    const ids = await store.inOrg(orgId, (tx) => insertNodes(tx, ["revoked", "commanded", "replaced", "fenced"]));
    const [revoked, commanded, replaced, fenced] = ids;
    await store.inOrg(orgId, async (tx) => {
      for (const nodeId of ids) await openStream(tx, nodeId);
      await tx.nodes.update(replaced, { streamId: "a later one" });
      await tx.revocations.addAll(await tx.nodes.raiseGenerations([revoked]), ["one"]);
      const asked = { batchId: randomUUID(), idempotencyKey: "k", actor: "ada", authority: "key:k", kind: "ping" };
      const payload = { payload: new Uint8Array(), payloadSha256: new Uint8Array(32), notAfter: tx.now() + 60_000 };
      await tx.commands.insertAll({ ...asked, ...payload }, [{ id: randomUUID(), nodeId: commanded }]);
    });
    let transactions = 0;
    const counted: Pick<Store, "inOrg"> = {
      inOrg: (org, work) => {
        transactions += 1;
        return store.inOrg(org, work);
      },
    };
    const looks = new SharedTransactions(counted, { work: lookForStreams, isRepeatable: true });
    const look = (nodeId: string, own: { fence?: number; revokedThrough?: number } = {}) =>
      looks.ask(orgId, { nodeId, streamId: nodeId, fence: 1, revokedThrough: 0, ...own });
    const seen = await Promise.all([look(revoked), look(commanded), look(replaced), look(fenced, { fence: 0 })]);
    expect(transactions).toBe(1);
    expect(seen).toEqual([
      { node: expect.objectContaining({ id: revoked, generation: 1 }), revocations: [REVOKED], hasCommands: false },
      { node: expect.objectContaining({ id: commanded }), revocations: [], hasCommands: true },
      undefined,
      undefined,
    ]);
    expect(await look(revoked, { revokedThrough: 1 })).toMatchObject({ revocations: [] });
    expect(transactions).toBe(2);
  },
);

/** Work that fails while one of those who share it asks for what cannot be done. */
const sharedEcho = (isRepeatable: boolean) => {
  const turns: string[][] = [];
  const work = async (_tx: unknown, asked: readonly string[]) => {
    turns.push([...asked]);
    if (asked.includes("bad")) throw new Error("this cannot be done");
    return asked.map((one) => `${one} done`);
  };
  const store = { inOrg: <T>(_org: string, own: (tx: unknown) => Promise<T>) => own(undefined) };
  const shared = new SharedTransactions(store, { work, isRepeatable });
  const ask = async (...asked: readonly string[]) => {
    const settled = await Promise.allSettled(asked.map((one) => shared.ask("org", one)));
    return settled.map((one) => (one.status === "fulfilled" ? one.value : one.status));
  };
  return { ask, turns };
};

test("what cannot be done fails whoever asked for it alone, and is done for the others of its transaction", async () => {
  const { ask, turns } = sharedEcho(true);
  expect(await ask("a", "bad", "b")).toEqual(["a done", "rejected", "b done"]);
  expect(await ask("c")).toEqual(["c done"]);
  expect(turns).toEqual([["a", "bad", "b"], ["a"], ["bad"], ["b"], ["c"]]);
});

test("what must not be done again fails all who share its transaction, and is done for those after them", async () => {
  const { ask, turns } = sharedEcho(false);
  expect(await ask("a", "bad", "b")).toEqual(["rejected", "rejected", "rejected"]);
  expect(await ask("c")).toEqual(["c done"]);
  expect(turns).toEqual([["a", "bad", "b"], ["c"]]);
});

const REVOKED = { epoch: 1, generation: 1, ids: ["one"] };

/** Confirms a node and gives it a session and a stream of its own name. */
async function openStream(tx: OrgTransaction, nodeId: string): Promise<void> {
  await tx.nodes.update(nodeId, { state: "confirmed", streamId: nodeId });
  const { stored } = issueApiKey("ghn", tx.now(), systemRandom);
  const ends = { expiresAt: tx.now() + 60_000 };
  await tx.apiKeys.insert({ ...stored, ...ends, nodeId, memberId: undefined, label: "node", role: undefined });
  const tokenSha256 = new Uint8Array(randomBytes(32));
  await tx.sessions.replace(undefined, {
    nodeId,
    apiKeyId: stored.id,
    fence: 1,
    tokenSha256,
    ...ends,
    previous: undefined,
  });
}

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
