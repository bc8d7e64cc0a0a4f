import { base64url, canonicalJson, makeUuid, systemRandom } from "@gatehouse/core";
import { addRecipients, type SignedBundle, sha256, verifyBundle, writeBindings } from "@gatehouse/kit";
import type { FetchBundleResponse, SignedManifest } from "@gatehouse/wire";
import { beforeAll, describe, expect, test } from "vitest";
import { connectStore } from "../src/store/open-store.ts";
import { DATABASES } from "./databases.ts";
import { type HostUnderTest, makePair, refused } from "./fleet-under-test.ts";
import { openJwe, openSession } from "./host-session.ts";
import { orgOnDatabase } from "./org-on-database.ts";
import {
  aadUnderTest,
  BINDINGS,
  type SealedUnderTest,
  type SealOptions,
  sealUnderTest,
  VALUE,
} from "./seal-under-test.ts";

describe.each(DATABASES)("on $name", ({ open }) => {
  const on = orgOnDatabase(open);
  let first: HostUnderTest;
  let second: HostUnderTest;

  beforeAll(async () => {
    first = await on.org.enroll("n1");
    second = await on.org.enroll("n2");
  });

  test("a credential reaches the nodes that it is sealed to, as each of them alone can open it", async () => {
    const sealed = await seal("shared", [first, second]);
    await on.org.credentials.putCredential({ credential: sealed }, on.org.headers);
    for (const host of [first, second]) {
      const { verified } = await fetchBundle(host);
      const [credential] = verified.credentials;
      expect(credential).toMatchObject({ name: "shared", version: 1, bindings: BINDINGS });
      expect(JSON.parse(credential?.jwe ?? "").recipients).toBeUndefined();
      const tuple = aadOf(sealed);
      expect(await openJwe(host, credential?.jwe ?? "", tuple)).toBe(VALUE);
      const other = host === first ? second : first;
      await expect(openJwe(other, credential?.jwe ?? "", tuple)).rejects.toThrow();
    }
    await on.org.credentials.revokeCredential({ name: "shared" }, on.org.headers);
  });

  test("the same version with the same signature is there already; another one, or a version too many, conflicts", async () => {
    const sealed = await seal("again", [first]);
    await on.org.credentials.putCredential({ credential: sealed }, on.org.headers);
    const before = await generationOf(first);
    await on.org.credentials.putCredential({ credential: sealed }, on.org.headers);
    expect(await generationOf(first)).toBe(before);
    const other = await seal("again", [first], { id: sealed.credentialId });
    await expect(put(other)).rejects.toEqual(refused("credentials.conflict"));
    const skipped = await seal("again", [first], { id: sealed.credentialId, version: 3 });
    await expect(put(skipped)).rejects.toEqual(refused("credentials.conflict"));
    await expect(put(await seal("again", [first]))).rejects.toEqual(refused("grants.exists"));
    expect(await generationOf(first)).toBe(before);
  });

  test("what no operator signed, is bound to something else or is sealed to a stranger is not stored", async () => {
    const before = await generationOf(first);
    const strange = await seal("strange", [first], { signer: makePair("ed25519") });
    await expect(put(strange)).rejects.toEqual(refused("credentials.refused"));
    const honest = await seal("strange", [first]);
    const bindings = writeBindings([{ ...BINDINGS[0], hosts: ["evil.example.com"] } as never]);
    await expect(put({ ...honest, bindings })).rejects.toEqual(refused("credentials.refused"));
    const nodeIds = [second.registered.nodeId];
    await expect(put({ ...honest, nodeIds })).rejects.toEqual(refused("credentials.refused"));
    const more = await seal("strange", [first], { further: [makePair("x25519").publicKey] });
    await expect(put(more)).rejects.toEqual(refused("credentials.refused"));
    await expect(put({ ...honest, nodeIds: [makeUuid(1, systemRandom)] })).rejects.toEqual(refused("nodes.not_found"));
    expect(await generationOf(first)).toBe(before);
    const { credentials } = await on.org.credentials.listCredentials({}, on.org.headers);
    expect(credentials.map(({ name }) => name)).not.toContain("strange");
  });

  test("only what changed is sent again, and any change raises the generation of the nodes concerned alone", async () => {
    await put(await seal("kept", [first]));
    const { parts, verified } = await fetchBundle(first);
    const otherBefore = await generationOf(second);
    await put(await seal("added", [first]));
    const next = await fetchBundle(first, [...parts.keys()]);
    expect(next.verified.signed.generation).toBe(verified.signed.generation + 1);
    expect(next.sent).toBe(2);
    expect(await generationOf(second)).toBe(otherBefore);
  });

  test("a policy reaches every node, and one that no gate could read is not stored", async () => {
    const before = await generationOf(first);
    const bad = new TextEncoder().encode('{"mode":"wild"}');
    await expect(on.org.policies.putPolicy({ name: "p", policy: bad }, on.org.headers)).rejects.toEqual(
      refused("policy.invalid"),
    );
    expect(await generationOf(first)).toBe(before);
    const document = canonicalJson({ mode: "permissive", rules: [{ action: "deny", hosts: ["paste.example.com"] }] });
    await on.org.policies.putPolicy({ name: "p", policy: new TextEncoder().encode(document) }, on.org.headers);
    for (const host of [first, second]) {
      expect((await fetchBundle(host)).verified.policies).toMatchObject([{ name: "p", document }]);
    }
    await on.org.policies.deletePolicy({ name: "p" }, on.org.headers);
    expect((await fetchBundle(first)).verified.policies).toEqual([]);
  });

  test("a credential that was taken back is gone from bundle and database, and its id is used up", async () => {
    const sealed = await seal("gone", [first]);
    await put(sealed);
    await on.org.credentials.revokeCredential({ name: "gone" }, on.org.headers);
    const { verified } = await fetchBundle(first);
    expect(verified.credentials.map(({ name }) => name)).not.toContain("gone");
    await using store = await connectStore(on.database.location, on.fleet.clock);
    const { nodeId } = first.registered;
    const kept = await store.inOrg(on.org.orgId, (tx) => tx.revocations.listUnapplied([nodeId]));
    expect(kept.get(nodeId)?.at(-1)).toMatchObject({
      generation: verified.signed.generation,
      ids: [sealed.credentialId],
    });
    await expect(put(sealed)).rejects.toEqual(refused("credentials.conflict"));
    await expect(on.org.credentials.revokeCredential({ name: "gone" }, on.org.headers)).rejects.toEqual(
      refused("credentials.not_found"),
    );
  });

  test("revoking a node marks what it could open, until it has another value", async () => {
    const lost = await on.org.enroll("n3");
    const sealed = await seal("rotate", [first, lost]);
    await put(sealed);
    const { nodeId } = lost.registered;
    expect((await on.org.nodes.revokeNode({ nodeId }, on.org.headers)).rotationPending).toEqual(["rotate"]);
    const resealed = addRecipients(sealed.jwe, on.org.encryption.privateKey, {
      aad: aadOf(sealed),
      keys: [second.encryption.publicKey],
    });
    const jwe = JSON.parse(resealed);
    const lostKid = base64url(lost.encryption.publicKey);
    jwe.recipients = jwe.recipients.filter(({ header }: { header: { kid: string } }) => header.kid !== lostKid);
    const nodeIds = [first, second].map((host) => host.registered.nodeId);
    await put({ ...sealed, jwe: JSON.stringify(jwe), nodeIds });
    const [credential] = (await fetchBundle(second)).verified.credentials.filter(({ name }) => name === "rotate");
    expect(await openJwe(second, credential?.jwe ?? "", aadOf(sealed))).toBe(VALUE);
    expect((await on.org.credentials.getCredential({ name: "rotate" }, on.org.headers)).rotationPending).toBe(true);
    await put(await seal("rotate", [first, second], { id: sealed.credentialId, version: 2 }));
    expect((await on.org.credentials.getCredential({ name: "rotate" }, on.org.headers)).rotationPending).toBe(false);
  });

  test("the value stands in no log and nowhere in the database", async () => {
    await put(await seal("secret", [first]));
    expect(on.fleet.lines.join("")).not.toContain(VALUE);
    await using store = await connectStore(on.database.location, on.fleet.clock);
    const rows = await store.inOrg(on.org.orgId, async (tx) => JSON.stringify(await tx.credentials.list()));
    expect(rows).toContain("ECDH-ES+A256KW");
    expect(rows).not.toContain(VALUE);
  });

  const put = (credential: SealedUnderTest) => on.org.credentials.putCredential({ credential }, on.org.headers);

  async function generationOf(host: HostUnderTest): Promise<bigint> {
    const { node } = await on.org.nodes.getNode({ node: host.registered.nodeId }, on.org.headers);
    return node?.generation ?? 0n;
  }

  const seal = (name: string, hosts: readonly HostUnderTest[], options?: SealOptions) =>
    sealUnderTest({ org: on.org, hosts }, name, options);
  const aadOf = (sealed: SealedUnderTest) => aadUnderTest(on.org, sealed);

  async function fetchBundle(host: HostUnderTest, held: readonly string[] = []) {
    const { told, headersFor } = await sessionOf(host);
    const request = { held: held.map((hash) => new Uint8Array(Buffer.from(hash, "base64url"))) };
    const answer = on.fleet.gateway.fetchBundle(request, await headersFor("FetchBundle"));
    const { signed, parts } = await collectBundle(answer);
    const sent = parts.size;
    for (const [hash, content] of known) if (held.includes(hash)) parts.set(hash, content);
    for (const [hash, content] of parts) known.set(hash, content);
    const trust = {
      orgId: on.org.orgId,
      nodeId: host.registered.nodeId,
      orgKey: on.org.orgKey.publicKey,
      serverIdentityKey: on.fleet.serverKey,
      keySet: told.key_set,
      roster: told.roster,
    };
    return { parts, sent, verified: verifyBundle(signed, parts, trust) };
  }

  const known = new Map<string, Uint8Array>();
  const sessions = new Map<HostUnderTest, ReturnType<typeof openSession>>();

  function sessionOf(host: HostUnderTest): ReturnType<typeof openSession> {
    const session = sessions.get(host) ?? openSession(host);
    sessions.set(host, session);
    return session;
  }
});

async function collectBundle(answer: AsyncIterable<FetchBundleResponse>) {
  const parts = new Map<string, Uint8Array>();
  const manifests: SignedBundle[] = [];
  for await (const { item } of answer) {
    if (item.case === "part") parts.set(base64url(sha256(item.value.content)), item.value.content);
    if (item.case === "manifest") manifests.push(toSignedBundle(item.value));
  }
  const [signed] = manifests;
  if (signed === undefined) throw new Error("there was no manifest");
  return { signed, parts };
}

function toSignedBundle({ epoch, generation, issuedAt, manifest, keyId, signature }: SignedManifest): SignedBundle {
  const counted = { epoch: Number(epoch), generation: Number(generation), issuedAt: Number(issuedAt) };
  return { ...counted, keyId, signature, manifest: new TextDecoder().decode(manifest) };
}
