import { chmod, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type BundlePart, credentialPart, describeRoster, grantPart, policyPart, rosterPart } from "@gatehouse/kit";
import { beforeEach, describe, expect, test } from "vitest";
import type { FleetVault } from "../../src/fleet/fleet-vault.ts";
import { BINDINGS, HostileServer, makePair, VALUE } from "./hostile-server.ts";

let server: HostileServer;
let vault: FleetVault;

beforeEach(async () => {
  server = await HostileServer.open();
  vault = await server.openVault();
  return () => server[Symbol.asyncDispose]();
});

const elsewhere = [{ ...BINDINGS[0], hosts: ["evil.example.com"], header: "authorization", format: "Bearer {value}" }];

/** Nothing was opened, and what is served is what was served before. */
async function expectRefused(bundle: Parameters<FleetVault["apply"]>[0], code: string): Promise<void> {
  const [before, opened] = [vault.list(), server.opened];
  await expect(vault.apply(bundle)).rejects.toMatchObject({ code });
  expect(server.opened).toBe(opened);
  expect(vault.list()).toEqual(before);
}

/** Nothing of it was opened, and what was served under its name is not any more; what stands beside it is. */
async function expectUnserved(parts: readonly BundlePart[], reason: string): Promise<void> {
  const [beside, opened] = [await server.seal("beside"), server.opened];
  const own = parts.filter(({ kind }) => kind === "credential");
  const roster = parts.some(({ kind }) => kind === "roster") ? [] : [rosterPart(describeRoster(server.roster(1)))];
  const good = [credentialPart(beside), grantPart(beside, 1)];
  await vault.apply(await server.bundle([...roster, ...parts, ...good]));
  for (const one of [vault, await server.openVault()]) {
    expect(one.list()).toMatchObject([{ name: "beside" }]);
    expect(one.refused.map(({ credentialId }) => credentialId)).toEqual(own.map(({ id }) => id));
    expect(one.refused.map(({ problem }) => problem.message)).toEqual(own.map(() => expect.stringContaining(reason)));
  }
  // That of the credential beside it, by each of the two.
  expect(server.opened).toBe(opened + 2);
}

test("an operator's credential becomes a grant of its name, and does after a restart", async () => {
  const credential = await server.seal("gh");
  await vault.apply(await server.bundle(server.parts([credential])));
  for (const one of [vault, await server.openVault()]) {
    expect(one.list()).toMatchObject([{ name: "gh", version: 1, bindings: BINDINGS, origin: "organisation" }]);
    expect((await one.reveal("gh")).reveal()).toBe(VALUE);
  }
});

test.each([
  ["is damaged", (path: string) => writeFile(path, "{")],
  ["others may read", (path: string) => chmod(path, 0o644)],
])("a memory of versions and revocations that %s is not taken for an empty one", async (_, spoil) => {
  const [first, second] = [await server.seal("gh"), await server.seal("gh")];
  await vault.apply(await server.bundle(server.parts([first])));
  const path = join(server.directory, "fleet", "state.json");
  await spoil(path);
  const before = await readFile(path, "utf8");
  vault = await server.openVault();
  expect(vault.fault).toContain(path);
  const opened = server.opened;
  await expect(vault.apply(await server.bundle(server.parts([second])))).rejects.toThrow(path);
  expect(vault.list()).toEqual([]);
  expect(server.opened).toBe(opened);
  expect(await readFile(path, "utf8")).toBe(before);
});

describe("a server that holds every serving key opens nothing and changes nothing with", () => {
  test("a grant for other destinations than were sealed", async () => {
    const credential = await server.seal("gh");
    const part = credentialPart(credential);
    const forged = grantPart({ credentialId: credential.credentialId, name: "gh", bindings: elsewhere }, 1);
    await expectUnserved([part, forged], "outside what was sealed");
    const wider = grantPart({ ...credential, bindings: [{ ...BINDINGS[0], format: "{value}" } as never] }, 1);
    await expectUnserved([part, wider], "outside what was sealed");
    const others = grantPart({ ...(await server.seal("other")), name: "gh" }, 1);
    await expectUnserved([part, { ...others, id: part.id }], "another credential");
  });

  test("new destinations for a ciphertext, with the grant that fits them", async () => {
    const credential = { ...(await server.seal("gh")), bindings: elsewhere };
    await expectUnserved(server.parts([credential]), "signature");
  });

  test.each(["methods", "paths"])("an empty list of %s for a ciphertext that was sealed without one", async (list) => {
    const sealed = await server.seal("gh");
    const credential = { ...sealed, bindings: [{ ...BINDINGS[0], [list]: [] } as never] };
    await expectUnserved(server.parts([credential]), "A binding cannot be read");
  });

  test("another name for a ciphertext", async () => {
    const credential = { ...(await server.seal("gh")), name: "other" };
    await expectUnserved(server.parts([credential]), "signature");
  });

  test("a credential that a stranger signed", async () => {
    const credential = await server.seal("gh", { signer: server.stranger });
    await expectUnserved(server.parts([credential]), "no operator of the roster");
  });

  test("a credential by a stranger, whom a roster of the stranger's own lists", async () => {
    const credential = await server.seal("gh", { signer: server.stranger });
    const roster = server.roster(2, { signer: server.stranger, operators: [server.stranger] });
    await expectRefused(await server.bundle(server.parts([credential], roster)), "roster.refused");
  });

  test("a roster whose operator keys an operator changed", async () => {
    const roster = server.roster(2, { signer: server.operator, operators: [server.operator, server.stranger] });
    await expectRefused(await server.bundle(server.parts([], roster)), "roster.refused");
  });

  test("an older roster, and another one of the same version", async () => {
    await vault.apply(await server.bundle(server.parts([], server.roster(3))));
    await expectRefused(await server.bundle(server.parts([], server.roster(2))), "roster.refused");
    const twin = server.roster(3, { operators: [server.operator, server.stranger] });
    await expectRefused(await server.bundle(server.parts([], twin)), "roster.split");
    const forged = server.roster(3, { signer: server.stranger, operators: [server.stranger] });
    await expectRefused(await server.bundle(server.parts([], forged)), "roster.refused");
  });

  test("a join of rosters of which this node has neither, or with its joins left out; nor what follows it", async () => {
    await vault.apply(await server.bundle(server.parts([], server.roster(3))));
    const others = [1, 2].map(() => server.roster(3, { others: [makePair("x25519").publicKey] }));
    const joined = server.join(others);
    await expectRefused(await server.bundle(server.parts([], joined)), "roster.split");
    await expectRefused(await server.bundle(server.parts([], server.after(joined))), "roster.split");
    await expectRefused(await server.bundle(server.parts([], { ...joined, joins: [] })), "roster.refused");
    const operators = server.join([server.roster(3), ...others], server.operator);
    await expectRefused(await server.bundle(server.parts([], operators)), "roster.refused");
  });

  test("what follows one of two rosters that were joined, once the join is known", async () => {
    const mine = server.roster(3);
    await vault.apply(await server.bundle(server.parts([], mine)));
    const other = server.roster(3, { others: [makePair("x25519").publicKey] });
    await vault.apply(await server.bundle(server.parts([], server.join([mine, other]))));
    for (const next of [server.after(server.after(mine)), server.after(server.after(other))]) {
      await expectRefused(await server.bundle(server.parts([], next)), "roster.split");
    }
    await vault.apply(await server.bundle(server.parts([], server.after(server.join([mine, other])))));
  });

  test("an older version of a credential, also after the newer one was gone from a bundle", async () => {
    const old = await server.seal("gh");
    const next = await server.seal("gh", { id: old.credentialId, version: 2 });
    await vault.apply(await server.bundle(server.parts([next])));
    await vault.apply(await server.bundle(server.parts([])));
    await expectUnserved(server.parts([old]), "older than one that was served");
    const twin = await server.seal("gh", { id: old.credentialId, version: 2 });
    await expectUnserved(server.parts([twin]), "two of one version");
    await vault.apply(await server.bundle(server.parts([next])));
    expect(vault.list()).toMatchObject([{ id: next.credentialId, version: 2 }]);
  });

  test("what was sealed under a name before, once another credential has that name, as it has after a revocation", async () => {
    const [old, next] = [await server.seal("gh"), await server.seal("gh")];
    await vault.apply(await server.bundle(server.parts([old])));
    await vault.apply(await server.bundle(server.parts([])));
    await vault.apply(await server.bundle(server.parts([next])));
    vault = await server.openVault();
    expect(vault.list()).toMatchObject([{ id: next.credentialId }]);
    const opened = server.opened;
    await expectRefused(await server.bundle(server.parts([old, next]).slice(0, 4)), "bundle.refused");
    await vault.apply(await server.bundle(server.parts([old])));
    expect(vault.list()).toEqual([]);
    expect(server.opened).toBe(opened);
  });

  test("another node's ciphertext", async () => {
    const credential = await server.seal("gh", { recipient: makePair("x25519").publicKey });
    await vault.apply(await server.bundle(server.parts([credential])));
    expect(vault.list()).toEqual([]);
    expect(vault.refused).toMatchObject([{ name: "gh", problem: { code: "credentials.unreadable" } }]);
  });

  test("a credential by a stranger under a name and an id that are served: the honest one is served again after it", async () => {
    const honest = await server.seal("gh");
    await vault.apply(await server.bundle(server.parts([honest])));
    const forged = await server.seal("gh", { id: honest.credentialId, version: 99, signer: server.stranger });
    await expectUnserved(server.parts([forged]), "no operator of the roster");
    const named = await server.seal("gh", { signer: server.stranger });
    const opened = server.opened;
    await vault.apply(await server.bundle(server.parts([honest, named])));
    expect(vault.list()).toMatchObject([{ id: honest.credentialId, version: 1 }]);
    expect(server.opened).toBe(opened + 1);
    expect((await vault.reveal("gh")).reveal()).toBe(VALUE);
  });

  test("a grant of a credential that is not there", async () => {
    const [{ credentialId, bindings }] = [await server.seal("gh")];
    const grant = grantPart({ credentialId, name: "gh", bindings }, 1);
    await expectRefused(await server.bundle([...server.parts([]), grant]), "bundle.refused");
  });

  test("another node's bundle", async () => {
    const parts = server.parts([await server.seal("gh")]);
    const nodeId = "0190a1b2-0000-7000-8000-000000000000";
    await expectRefused(await server.bundle(parts, { nodeId }), "bundle.refused");
  });

  test("a bundle from before", async () => {
    const first = await server.bundle(server.parts([await server.seal("gh")]));
    await vault.apply(first);
    await vault.apply(await server.bundle(server.parts([])));
    await expectRefused(first, "bundle.refused");
  });

  test("a manifest whose parts are exchanged, missing, or that somebody else signed", async () => {
    const honest = await server.bundle(server.parts([await server.seal("gh")]));
    const swapped = honest.manifest.replace(/"sha256":"[^"]{4}/, '"sha256":"AAAA');
    await expectRefused(server.sign(swapped, honest.generation), "bundle.refused");
    await expectRefused({ ...honest, signature: server.stranger.sign(new Uint8Array(1)) }, "bundle.refused");
    await expectRefused({ ...honest, generation: honest.generation + 1 }, "bundle.refused");
  });

  test("a policy that opens everything: it opens nothing that a run's own does not", async () => {
    const open = policyPart({ id: "p", name: "p", document: '{"mode":"permissive"}' }, 1);
    await vault.apply(await server.bundle([...server.parts([]), open]));
    expect(vault.ceilings).toEqual([{ mode: "permissive" }]);
    const wild = policyPart({ id: "p", name: "p", document: '{"mode":"wild"}' }, 2);
    await expectRefused(await server.bundle([...server.parts([]), wild]), "policy.invalid");
  });

  test("what was taken back: gone at once, and never served again", async () => {
    const credential = await server.seal("gh");
    const parts = server.parts([credential]);
    await vault.apply(await server.bundle(parts));
    const revocation = server.revocation([credential.credentialId], 2);
    const gone: string[] = [];
    const keep = async (change: { readonly gone: readonly string[] }) => void gone.push(...change.gone);
    const forged = { ...revocation, generation: 3 };
    await expect(vault.revoke(forged, keep)).rejects.toMatchObject({ code: "bundle.refused" });
    expect(vault.list()).toHaveLength(1);
    await vault.revoke(revocation, keep);
    expect(gone).toEqual(["gh"]);
    const opened = server.opened;
    await vault.apply(await server.bundle(parts));
    expect(vault.list()).toEqual([]);
    expect((await server.openVault()).list()).toEqual([]);
    expect(server.opened).toBe(opened);
  });
});

test("a bundle key that a newer key set took out of service signs nothing, whatever key set the served bundle names", async () => {
  const keySet = JSON.stringify(server.keySet);
  const part = { kind: "key_set", id: "key-set", version: 1, content: keySet } as const;
  const credential = await server.seal("gh");
  await vault.apply(await server.bundle([...server.parts([credential]), part]));
  await server.remember({ key_set: server.keySetOf(2, makePair("ed25519")) });
  expect((await vault.trust())?.keySet.epoch).toBe(2);
  await expectRefused(await server.bundle([...server.parts([]), part]), "bundle.refused");
  await expectRefused(await server.bundle(server.parts([])), "bundle.refused");
  const revocation = server.revocation([credential.credentialId], 9);
  const told: unknown[] = [];
  const tell = async (change: unknown) => void told.push(change);
  await expect(vault.revoke(revocation, tell)).rejects.toMatchObject({ code: "bundle.refused" });
  expect(told).toEqual([]);
  expect(vault.list()).toHaveLength(1);
});

test("what the keys of one epoch sign for another counts for nothing: the epoch that takes them out of service is followed", async () => {
  const credential = await server.seal("gh");
  await vault.apply(await server.bundle(server.parts([credential])));
  for (const epoch of [2, 2 ** 52]) {
    await expectRefused(await server.bundle(server.parts([]), { epoch }), "bundle.refused");
    const revoking = vault.revoke(server.revocation([credential.credentialId], 9, epoch), async () => undefined);
    await expect(revoking).rejects.toMatchObject({ code: "bundle.refused" });
  }
  expect(vault.list()).toHaveLength(1);
  const by = makePair("ed25519");
  const keySet = JSON.stringify(server.keySetOf(2, by));
  const part = { kind: "key_set", id: "key-set", version: 2, content: keySet } as const;
  await vault.apply(await server.bundle([...server.parts([credential]), part], { generation: 1, epoch: 2, by }));
  expect(vault.bundle?.signed).toMatchObject({ epoch: 2, generation: 1 });
  expect(vault.list()).toHaveLength(1);
});

test("a roster that the host learned elsewhere is not rolled back by a bundle", async () => {
  await vault.apply(await server.bundle(server.parts([], server.roster(2))));
  await server.remember({ roster: describeRoster(server.roster(4)) });
  await expectRefused(await server.bundle(server.parts([], server.roster(3))), "roster.refused");
});

test("a key set of a higher epoch is taken under the pinned identity alone", async () => {
  const credential = await server.seal("gh");
  const keySet = JSON.stringify({ ...server.keySet, epoch: 2 });
  const part = { kind: "key_set", id: "key-set", version: 2, content: keySet } as const;
  await expectRefused(await server.bundle([...server.parts([credential]), part]), "server.untrusted");
});
