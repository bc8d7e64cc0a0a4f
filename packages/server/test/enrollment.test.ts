import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { base64url, systemRandom } from "@gatehouse/core";
import { describe, expect, test } from "vitest";
import { makeSetupCode } from "../src/orgs/setup-codes.ts";
import { connectStore } from "../src/store/open-store.ts";
import { DATABASES } from "./databases.ts";
import {
  FleetUnderTest,
  HostUnderTest,
  hash,
  makePair,
  type OrgUnderTest,
  refused,
  signWith,
} from "./fleet-under-test.ts";
import { apiKeyOf, awaitRequest, nonceOf, openJwe, openSealed, openSession } from "./host-session.ts";
import { orgOnDatabase } from "./org-on-database.ts";
import { auditEntries, auditKinds, storedRows } from "./stored-rows.ts";

const MINUTE_MS = 60_000;

describe.each(DATABASES)("on $name", ({ open }) => {
  const on = orgOnDatabase(open);

  test("the set-up code makes one organisation: repeated until its key was used, then spent", async () => {
    await expect(on.fleet.createOrg("other")).rejects.toEqual(refused("org.setup_code_spent"));
    expect((await on.org.org.getOrg({}, on.org.headers)).name).toBe("acme");
    expect((await on.org.org.listMembers({}, on.org.headers)).members.map(({ name }) => name)).toEqual(["ada"]);
  });

  test("a host is confirmed by the fingerprint that it printed, and opens what was sealed to it", async () => {
    const host = new HostUnderTest(on.org, "n1");
    await host.register(await on.org.createCode("n1"));
    const waits = on.fleet.gateway.awaitConfirmation(await awaitRequest(host));
    const states = waits[Symbol.asyncIterator]();
    expect((await states.next()).value).toMatchObject({ state: 2, sealed: "" });
    await on.org.confirm(host);
    const confirmed = (await states.next()).value;
    expect(confirmed).toMatchObject({ state: 3 });
    const opened = await openSealed(host, confirmed?.sealed ?? "");
    expect(opened).toMatchObject({ node_id: host.registered.nodeId, api_key: expect.stringMatching(/^ghn_/) });
    const { answer } = await host.handshake(opened.api_key);
    const session = await on.fleet.gateway.completeAuthHandshake(answer);
    expect(session.sessionToken).toHaveLength(43);
    expect((await states.next()).done).toBe(true);
  });

  test("a long answer comes in pieces to a host that takes them, and whole to one of a release before", async () => {
    const host = new HostUnderTest(on.org, "long");
    await host.register(await on.org.createCode());
    const others = Array.from({ length: 1_000 }, () => {
      const [identityKey, encryptionKey, caKey] = [
        systemRandom.bytes(32),
        systemRandom.bytes(32),
        systemRandom.bytes(91),
      ];
      return { nodeId: randomUUID(), identityKey, encryptionKey, caKey };
    });
    await on.org.confirm(host, host.fingerprint, others);
    const answers = async (takesPieces: boolean) => {
      const asked = { ...(await awaitRequest(host)), takesPieces };
      return await Array.fromAsync(on.fleet.gateway.awaitConfirmation(asked));
    };
    const [whole] = await answers(false);
    expect((await openSealed(host, whole?.sealed ?? "")).roster.nodes.length).toBeGreaterThan(others.length);
    const pieces = await answers(true);
    expect(pieces.length).toBeGreaterThan(1);
    expect(pieces.map(({ sealed }) => sealed).join("")).toBe(whole?.sealed);
    const sealedTotalBytes = BigInt(whole?.sealed.length ?? 0);
    for (const piece of pieces) expect(piece).toMatchObject({ state: 3, sealedTotalBytes });
  });

  test("a code claims once; the same claim again gets the same answer, any other none", async () => {
    const code = await on.org.createCode();
    const host = new HostUnderTest(on.org, "n2");
    await host.register(code);
    const again = await on.fleet.gateway.register(host.claim(code));
    expect(again.nodeId).toBe(host.registered.nodeId);
    const other = new HostUnderTest(on.org, "n2-other");
    await expect(other.register(code)).rejects.toEqual(refused("enroll.code_spent"));
    expect((await nodeNames()).includes("n2-other")).toBe(false);
  });

  test("unknown, used, expired and cancelled codes fail alike", async () => {
    const unknown = `ghe_${base64url(hash("nobody"))}.${base64url(hash("pin").subarray(0, 16))}`;
    const used = await on.org.createCode();
    await new HostUnderTest(on.org, "n3u").register(used);
    const cancelled = await on.org.createCode();
    for (const { id, nodeId } of (await on.org.nodes.listEnrollmentCodes({}, on.org.headers)).enrollments) {
      if (nodeId === "") await on.org.nodes.cancelEnrollment({ enrollmentId: id }, on.org.headers);
    }
    const expired = await on.org.createCode();
    on.fleet.clock.advance(16 * MINUTE_MS);
    const errors = await Promise.all(
      [unknown, used, cancelled, expired].map((code) =>
        new HostUnderTest(on.org, "n3").register(code).catch((error) => String(error)),
      ),
    );
    expect(new Set(errors).size).toBe(1);
    expect(errors[0]).toContain("cannot be used");
    expect(await nodeNames()).not.toContain("n3");
  });

  test("another organisation's code brings a host that believes in this one into neither, and stays good", async () => {
    const stranger = await secondOrg("foreign");
    const code = await stranger.createCode();
    await expect(new HostUnderTest(on.org, "n3f").register(code)).rejects.toEqual(refused("enroll.bad_proof"));
    expect(await nodeNames()).not.toContain("n3f");
    expect((await stranger.nodes.listNodes({}, stranger.headers)).nodes).toEqual([]);
    await new HostUnderTest(stranger, "n3f").register(code);
  });

  test("a name that is taken, a key that is enrolled and another name than the code's leave the code as it was", async () => {
    const taken = await on.org.enroll("n4");
    const code = await on.org.createCode();
    await expect(new HostUnderTest(on.org, "n4").register(code)).rejects.toEqual(refused("enroll.name_taken"));
    const sameKey = Object.assign(new HostUnderTest(on.org, "n5"), { identity: taken.identity });
    await expect(sameKey.register(code)).rejects.toEqual(refused("enroll.key_enrolled"));
    const named = await on.org.createCode("n6");
    await expect(new HostUnderTest(on.org, "n7").register(named)).rejects.toEqual(refused("enroll.name_differs"));
    await new HostUnderTest(on.org, "n5").register(code);
    await new HostUnderTest(on.org, "n6").register(named);
  });

  test("a proof by another key, and an encryption key that everybody can open, are refused", async () => {
    const code = await on.org.createCode();
    const host = new HostUnderTest(on.org, "n8");
    const claim = host.claim(code);
    const forged = { ...claim, proof: signWith(makePair("ed25519"), host.tuple) };
    await expect(on.fleet.gateway.register(forged)).rejects.toEqual(refused("enroll.bad_proof"));
    const weak = Object.assign(new HostUnderTest(on.org, "n8"), {
      encryption: { ...host.encryption, publicKey: new Uint8Array(32) },
    });
    await expect(weak.register(code)).rejects.toEqual(refused("enroll.bad_proof"));
    expect(await nodeNames()).not.toContain("n8");
  });

  test("a wrong fingerprint confirms nobody and is on record", async () => {
    const host = new HostUnderTest(on.org, "n9");
    await host.register(await on.org.createCode());
    await expect(on.org.confirm(host, "00000-00000-00000-00000")).rejects.toEqual(refused("enroll.wrong_fingerprint"));
    expect((await on.org.nodes.getNode({ node: "n9" }, on.org.headers)).node?.state).toBe(1);
    expect(await rowsOf("api_keys", host)).toEqual([]);
    expect(await auditKinds(on.database.location, on.org.orgId)).toContain("node.confirm_refused");
  });

  test("keys that were exchanged on the way are caught: the fingerprint is of the keys that the host proved", async () => {
    const host = new HostUnderTest(on.org, "n10");
    await host.register(await on.org.createCode());
    const { nodeId } = host.registered;
    const swapped = { ...host.rosterNode, encryptionKey: makePair("x25519").publicKey };
    const roster = on.org.nextRoster([swapped]);
    const { enrollmentId } = host.registered;
    await expect(
      on.org.nodes.confirmNode({ nodeId, enrollmentId, fingerprint: host.fingerprint, roster }, on.org.headers),
    ).rejects.toEqual(refused("roster.refused"));
    expect((await on.org.nodes.getNode({ node: "n10" }, on.org.headers)).node?.state).toBe(1);
    expect(await rowsOf("api_keys", host)).toEqual([]);
  });

  test("the newest roster's signature beside another node confirms nobody", async () => {
    const { roster } = await on.org.org.getOrg({}, on.org.headers);
    if (roster === undefined) throw new Error("there is no roster yet");
    const host = new HostUnderTest(on.org, "n12x");
    await host.register(await on.org.createCode());
    const { nodeId, enrollmentId } = host.registered;
    const { version, issuedAt, operatorKeys, signer, signature } = roster;
    const forged = { version, issuedAt, operatorKeys, signer, signature, nodes: [...roster.nodes, host.rosterNode] };
    await expect(
      on.org.nodes.confirmNode({ nodeId, enrollmentId, fingerprint: host.fingerprint, roster: forged }, on.org.headers),
    ).rejects.toEqual(refused("roster.conflict"));
    expect((await on.org.nodes.getNode({ node: "n12x" }, on.org.headers)).node?.state).toBe(1);
  });

  test("a roster that nobody of the organisation signed is refused", async () => {
    const roster = on.org.nextRoster([], makePair("ed25519"));
    await expect(on.org.org.putRoster({ roster }, on.org.headers)).rejects.toEqual(refused("roster.refused"));
  });

  test("a challenge is spent by a wrong signature and by its first use", async () => {
    const host = await on.org.enroll("n11");
    const key = await apiKeyOf(host);
    const wrong = await host.handshake(key, makePair("ed25519"));
    await expect(on.fleet.gateway.completeAuthHandshake(wrong.answer)).rejects.toEqual(refused("auth.refused"));
    const burnt = { ...wrong.answer, signature: signWith(host.identity, wrong.tuple) };
    await expect(on.fleet.gateway.completeAuthHandshake(burnt)).rejects.toEqual(refused("auth.refused"));
    expect(await rowsOf("sessions", host)).toEqual([]);
    const right = await host.handshake(key);
    await on.fleet.gateway.completeAuthHandshake(right.answer);
    const [opened] = await rowsOf("sessions", host);
    await expect(on.fleet.gateway.completeAuthHandshake(right.answer)).rejects.toEqual(refused("auth.refused"));
    expect(await rowsOf("sessions", host)).toEqual([opened]);
  });

  test("a challenge that a host answered for another server opens nothing here, and is spent", async () => {
    const host = await on.org.enroll("n11r");
    const key = await apiKeyOf(host);
    // Who stands between relays this server's challenge to a host that takes them for the other.
    const others = [{ origin: "https://elsewhere.example" }, { serverIdentityKey: makePair("ed25519").publicKey }];
    for (const other of others) {
      const relayed = await host.handshake(key, host.identity, other);
      await expect(on.fleet.gateway.completeAuthHandshake(relayed.answer)).rejects.toEqual(refused("auth.refused"));
      await expect(on.fleet.gateway.completeAuthHandshake(relayed.answer)).rejects.toEqual(refused("auth.refused"));
    }
    expect(await rowsOf("sessions", host)).toEqual([]);
    expect(await auditKinds(on.database.location, on.org.orgId)).toContain("handshake.refused");
    await on.fleet.gateway.completeAuthHandshake((await host.handshake(key)).answer);
    expect(await rowsOf("sessions", host)).toHaveLength(1);
  });

  test("another identity key gets no challenge for a stolen API key", async () => {
    const host = await on.org.enroll("n12");
    const key = await apiKeyOf(host);
    const clientNonce = new Uint8Array(32);
    const identityPublicKey = makePair("ed25519").publicKey;
    await expect(on.fleet.gateway.beginAuthHandshake({ apiKey: key, identityPublicKey, clientNonce })).rejects.toEqual(
      refused("auth.refused"),
    );
  });

  test("a session token is of no use without the node's key, and a proof of none a second time", async () => {
    const host = await on.org.enroll("n13");
    const { answer } = await host.handshake(await apiKeyOf(host));
    const { sessionToken } = await on.fleet.gateway.completeAuthHandshake(answer);
    const nonce = await nonceOf(() =>
      on.fleet.gateway.rotateApiKey({}, { headers: { Authorization: `DPoP ${sessionToken}` } }),
    );
    const bearer = { headers: { Authorization: `Bearer ${sessionToken}` } };
    await expect(on.fleet.gateway.rotateApiKey({}, bearer)).rejects.toEqual(refused("auth.refused"));
    const stale = await host.proof(sessionToken, "RotateApiKey", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    await expect(on.fleet.gateway.rotateApiKey({}, stale)).rejects.toEqual(refused("auth.stale_nonce"));
    const thief = Object.assign(new HostUnderTest(on.org, "n13"), { identity: makePair("ed25519") });
    const stolen = await thief.proof(sessionToken, "RotateApiKey", nonce);
    await expect(on.fleet.gateway.rotateApiKey({}, stolen)).rejects.toEqual(refused("auth.refused"));
    const elsewhere = await host.proof(sessionToken, "Leave", nonce);
    await expect(on.fleet.gateway.rotateApiKey({}, elsewhere)).rejects.toEqual(refused("auth.refused"));
    expect(await rowsOf("api_keys", host)).toHaveLength(1);
    const good = await host.proof(sessionToken, "RotateApiKey", nonce);
    await on.fleet.gateway.rotateApiKey({}, good);
    await expect(on.fleet.gateway.rotateApiKey({}, good)).rejects.toEqual(refused("auth.refused"));
    expect(await rowsOf("api_keys", host)).toHaveLength(2);
  });

  test("of the keys that a node asks for and never uses a few are good, so that ending it stays one short step", async () => {
    const host = await on.org.enroll("greedy");
    const session = await openSession(host);
    const live = async () => {
      const rows = await storedRows(on.database.location, on.org.orgId, "api_keys");
      return (rows as unknown as { node_id: string; revoked_at: number | null }[]).filter(
        (row) => row.node_id === host.registered.nodeId && row.revoked_at === null,
      );
    };
    for (let turn = 0; turn < 7; turn += 1) {
      await on.fleet.gateway.rotateApiKey({}, await session.headersFor("RotateApiKey"));
    }
    expect(await live()).toHaveLength(5);
    await expect(on.fleet.gateway.rotateApiKey({}, await session.headersFor("RotateApiKey"))).resolves.toBeDefined();
    // The one that it uses is not among those that go.
    await host.handshake(session.told.api_key);
  });

  test("a node that asks for keys without end is refused for a time, and no more of them is on record", async () => {
    const [greedy, modest] = [await on.org.enroll("endless"), await on.org.enroll("modest")];
    const ask = async ({ headersFor }: Awaited<ReturnType<typeof openSession>>) =>
      on.fleet.gateway.rotateApiKey({}, await headersFor("RotateApiKey"));
    const session = await openSession(greedy);
    let made = 0;
    const askOn = async () => {
      for (; made < 500; made += 1) await ask(session);
    };
    await expect(askOn()).rejects.toEqual(refused("server.busy"));
    const entries = await auditEntries(on.database.location, on.org.orgId);
    const issued = entries.filter(({ kind, actor }) => kind === "node.api_key_issued" && actor === "node:endless");
    expect(issued).toHaveLength(made);
    await ask(await openSession(modest));
    on.fleet.clock.advance(1_000);
    await ask(session);
  });

  test("an expired API key still opens a session, which brings a fresh key", async () => {
    const host = await on.org.enroll("n14");
    const key = await apiKeyOf(host);
    on.fleet.clock.advance(91 * 24 * 60 * MINUTE_MS);
    const { answer, tuple } = await host.handshake(key);
    const { sealedApiKey, apiKeyExpiresAt } = await on.fleet.gateway.completeAuthHandshake(answer);
    const fresh = await openJwe(host, sealedApiKey, hash(tuple));
    expect(fresh).toMatch(/^ghn_/);
    expect(Number(apiKeyExpiresAt)).toBe(on.fleet.clock.now() + 90 * 24 * 60 * MINUTE_MS);
    on.fleet.clock.advance(-91 * 24 * 60 * MINUTE_MS);
    await on.fleet.gateway.completeAuthHandshake((await host.handshake(fresh)).answer);
    await expect(host.handshake(key)).rejects.toEqual(refused("auth.refused"));
  });

  test("a revoked node gets no further; its name and keys may enroll again", async () => {
    const host = await on.org.enroll("n15");
    const key = await apiKeyOf(host);
    await on.fleet.gateway.completeAuthHandshake((await host.handshake(key)).answer);
    await on.org.nodes.revokeNode({ nodeId: host.registered.nodeId }, on.org.headers);
    await expect(host.handshake(key)).rejects.toEqual(refused("auth.refused"));
    await host.register(await on.org.createCode("n15"));
  });

  test("another organisation's node and one that is nowhere get the same answer", async () => {
    const host = await on.org.enroll("n16");
    const nowhere = "0190a1b2-0000-7000-8000-000000000000";
    const stranger = await secondOrg();
    const answers = await Promise.all(
      [host.registered.nodeId, nowhere].map((nodeId) =>
        stranger.nodes.revokeNode({ nodeId }, stranger.headers).catch((error) => String(error)),
      ),
    );
    expect(answers[0]).toBe(answers[1]);
    expect((await stranger.nodes.listNodes({}, stranger.headers)).nodes).toEqual([]);
    expect((await on.org.nodes.getNode({ node: "n16" }, on.org.headers)).node?.state).toBe(2);
  });

  test("no code, key or token stands in a log at any level", async () => {
    const host = await on.org.enroll("n17");
    const key = await apiKeyOf(host);
    const { sessionToken } = await on.fleet.gateway.completeAuthHandshake((await host.handshake(key)).answer);
    const text = on.fleet.lines.join("");
    expect(text).toContain("gatehouse.gateway.v1.NodeGatewayService/Register");
    for (const secret of [key, sessionToken, on.org.apiKey, on.fleet.setupCode]) {
      expect(text).not.toContain(secret);
      expect(text).not.toContain(secret.slice(-30));
    }
    expect(text).not.toMatch(/ghe_[A-Za-z0-9_-]{43}/);
    expect(text).not.toContain(host.fingerprint);
  });

  async function nodeNames(): Promise<readonly string[]> {
    return (await on.org.nodes.listNodes({}, on.org.headers)).nodes.map(({ name }) => name);
  }

  async function rowsOf(table: "api_keys" | "sessions", { registered }: HostUnderTest) {
    const rows = (await storedRows(on.database.location, on.org.orgId, table)) as unknown as { node_id: string }[];
    return rows.filter((row) => row.node_id === registered.nodeId);
  }

  async function secondOrg(name = "stranger"): Promise<OrgUnderTest> {
    await using store = await connectStore(on.database.location, on.fleet.clock);
    let setupCode = "";
    const keep = async (code: string) => {
      setupCode = code;
    };
    await makeSetupCode({ store, random: systemRandom, serverIdentityKey: on.fleet.serverKey }, keep);
    return await on.fleet.createOrg(name, setupCode);
  }
});

test("the set-up code is in a file that nobody else reads", async () => {
  await using database = await DATABASES[0].open();
  await using fleet = await FleetUnderTest.open(database.location);
  expect(readFileSync(`${fleet.directory}/setup-code`, "utf8")).toMatch(/^ghs_[A-Za-z0-9_-]{43}\.[A-Za-z0-9_-]{22}\n$/);
});
