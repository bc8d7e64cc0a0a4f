import { base64url, credentialTuple, fromBase64url } from "@gatehouse/core";
import { joinRecipients, projectJwe } from "@gatehouse/kit";
import { flattenedDecrypt } from "jose";
import { beforeEach, describe, expect, test } from "vitest";
import type { FleetVault } from "../../src/fleet/fleet-vault.ts";
import { HostileServer, makePair, VALUE } from "./hostile-server.ts";

const NOW = 1_000;
const next = makePair("x25519");
const compromised = makePair("x25519");
let server: HostileServer;
let vault: FleetVault;
let sealed: Awaited<ReturnType<HostileServer["seal"]>>;

beforeEach(async () => {
  server = await HostileServer.open();
  vault = await server.openVault();
  sealed = await server.seal("gh");
  const roster = server.roster(2, { others: [next.publicKey] });
  await vault.apply(await server.bundle(server.parts([sealed], roster)));
  return () => server[Symbol.asyncDispose]();
});

/** The credential as its server keeps it, with what a node sealed onward. */
function joined(parts: string, keys: readonly Uint8Array[]): string {
  const { encrypted_key, header, ...shared } = JSON.parse(sealed.jwe);
  return joinRecipients(JSON.stringify({ ...shared, recipients: [{ encrypted_key, header }] }), parts, keys);
}

async function openedBy(pair: typeof next, jwe: string): Promise<string> {
  const aad = base64url(credentialTuple({ ...sealed, orgId: server.orgId, endpoints: [] }));
  const own = JSON.parse(projectJwe(jwe, pair.publicKey) ?? "{}");
  return new TextDecoder().decode((await flattenedDecrypt({ ...own, aad }, pair.privateKey)).plaintext);
}

test("what an operator orders is sealed to a node of the roster, which alone can open its part", async () => {
  for (const signer of [server.operator, server.orgKey]) {
    const order = server.reseal(sealed.credentialId, [next.publicKey], { signer });
    const parts = await vault.reseal(order, NOW);
    expect(parts).not.toContain(VALUE);
    const jwe = joined(parts, order.recipients);
    expect(await openedBy(next, jwe)).toBe(VALUE);
    const { ciphertext, tag, iv } = JSON.parse(jwe);
    expect({ ciphertext, tag, iv }).toEqual(expect.objectContaining(pick(JSON.parse(sealed.jwe))));
    await expect(openedBy(compromised, jwe)).rejects.toThrow();
  }
});

describe("a server that holds every serving key has nothing sealed to a host that it took over by", () => {
  const refused = async (order: Parameters<FleetVault["reseal"]>[0], code: string, now = NOW) => {
    const opened = server.opened;
    await expect(vault.reseal(order, now)).rejects.toMatchObject({ code });
    expect(server.opened).toBe(opened);
  };
  const toNext = (more = {}) => server.reseal(sealed.credentialId, [next.publicKey], more);

  test("an order that it signs itself", async () => {
    const order = server.reseal(sealed.credentialId, [compromised.publicKey], { signer: server.bundleKey });
    await refused(order, "credentials.refused");
    await refused({ ...order, signer: server.operator.publicKey }, "credentials.refused");
    await refused(toNext({ signer: server.stranger }), "credentials.refused");
  });

  test("an operator's order with another recipient, one more, another credential or a later end", async () => {
    const order = toNext();
    await refused({ ...order, recipients: [compromised.publicKey] }, "credentials.refused");
    await refused({ ...order, recipients: [next.publicKey, compromised.publicKey] }, "credentials.refused");
    await refused({ ...order, credentialId: server.nodeId }, "credentials.refused");
    await refused({ ...order, notAfter: 3_000 }, "credentials.refused");
    await refused({ ...order, recipients: [] }, "credentials.refused");
  });

  test("an operator's order for a key that is no node's on the newest roster", async () => {
    await refused(server.reseal(sealed.credentialId, [compromised.publicKey]), "credentials.refused");
    // Struck from the roster, as a host that was revoked is.
    await vault.apply(await server.bundle(server.parts([sealed], server.roster(3))));
    await refused(toNext(), "credentials.refused");
  });

  test("an order of an operator whom the newest roster does not list any more", async () => {
    const roster = server.roster(3, { operators: [], others: [next.publicKey] });
    const byOrg = await server.seal("gh", { signer: server.orgKey });
    await vault.apply(await server.bundle(server.parts([byOrg], roster)));
    await refused(server.reseal(byOrg.credentialId, [next.publicKey]), "credentials.refused");
  });

  test("an operator's order that another node is to follow", async () => {
    await refused(toNext({ holder: next.publicKey }), "credentials.refused");
  });

  test("an operator's order for the value before, whatever it was kept back for", async () => {
    const order = toNext();
    await vault.reseal(order, NOW);
    // Given a new value for this node alone: the other one was found to be somebody else's.
    const { credentialId: id } = sealed;
    const replaced = await server.seal("gh", { id, version: 2 });
    const roster = server.roster(3, { others: [next.publicKey] });
    await vault.apply(await server.bundle(server.parts([replaced], roster)));
    await refused(order, "credentials.refused");
    await refused({ ...order, version: 2 }, "credentials.refused");
  });

  test("an order whose time is over, or lies far ahead", async () => {
    await refused(toNext(), "credentials.refused", 2_000);
    await refused(toNext({ notAfter: NOW + 86_400_001 }), "credentials.refused");
  });

  test("an order for what was taken back, or never was here", async () => {
    await refused(server.reseal(server.nodeId, [next.publicKey]), "grants.not_found");
    await vault.apply(await server.bundle(server.parts([], server.roster(3, { others: [next.publicKey] }))));
    await refused(toNext(), "grants.not_found");
  });
});

test("parts of other keys than were asked for, too few, too many or none at all join nothing", async () => {
  const all = JSON.parse(await vault.reseal(server.reseal(sealed.credentialId, [next.publicKey]), NOW));
  const parts = JSON.stringify(all.slice(1));
  const bad = [parts, "[]", "{}", "null", "", "[null]", `[${parts.slice(1, -1)},${parts.slice(1, -1)}]`];
  for (const text of bad.slice(1)) expect(() => joined(text, [next.publicKey]), text).toThrow();
  expect(() => joined(parts, [compromised.publicKey])).toThrow();
  expect(() => joined(parts, [next.publicKey, compromised.publicKey])).toThrow();
  const [part] = JSON.parse(parts);
  const more = JSON.stringify([{ ...part, plaintext: "x", header: { ...part.header, evil: 1 } }]);
  expect(joined(more, [next.publicKey])).not.toMatch(/plaintext|evil/);
  expect(fromBase64url(part.encrypted_key)).toHaveLength(40);
});

function pick({ ciphertext, tag, iv }: Readonly<Record<string, unknown>>) {
  return { ciphertext, tag, iv };
}
