import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { keySetTuple, Secret } from "@gatehouse/core";
import { describeKeySet, describeRoster, openSigningKey, type SigningKey } from "@gatehouse/kit";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { checkConfirmation } from "../src/uplink/check-confirmation.ts";
import { type HostKeys, openHostKeys } from "../src/uplink/host-keys.ts";
import { NodeFiles } from "../src/uplink/node-files.ts";
import { signRosterOf } from "./fixtures/sign-roster.ts";

let directory: string;
let files: NodeFiles;
let keys: HostKeys;
let identity: SigningKey;
let orgKey: SigningKey;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "gatehouse-node-"));
  files = new NodeFiles(directory);
  keys = await openHostKeys(directory);
  [identity, orgKey] = [await openSigningKey(join(directory, "a.key")), await openSigningKey(join(directory, "b.key"))];
});
afterEach(() => rm(directory, { recursive: true, force: true }));

function keySet(epoch: number) {
  const own = { epoch, issuedAt: epoch, keys: [{ use: "command" as const, id: `k${epoch}`, key: new Uint8Array(32) }] };
  return describeKeySet(own, identity.sign(keySetTuple(identity.publicKey, own)));
}

const own = () => ({
  nodeId: "n1",
  identityKey: keys.identity.publicKey,
  encryptionKey: keys.encryption.publicKey,
  caKey: keys.caPublicKey,
});
const roster = (version: number, more: { orgId?: string; nodes?: readonly ReturnType<typeof own>[] } = {}) =>
  describeRoster(signRosterOf(orgKey, { orgId: "o1", version, nodes: [own()], ...more }));

const server = () => ({
  server_url: "https://server.example",
  name: "n1",
  node_id: "n1",
  org_id: "o1",
  org_key: orgKey.publicKey,
  server_identity_key: identity.publicKey,
  key_set: keySet(1),
  tuple_sha256: new Uint8Array(32),
});
const node = () => ({ ...server(), roster: roster(1), ca_chain: [] });

describe("what a node remembers of its server", () => {
  test("is put by any number of writers at once, and the newest of each stays", async () => {
    await files.saveEnrolled(node());
    const other = new NodeFiles(directory);
    await Promise.all(
      [4, 2, 7, 3, 6, 5].flatMap((count) => [
        files.learn({ node_id: "n1" }, { keySet: keySet(count) }),
        other.learn({ node_id: "n1" }, { roster: roster(count + 10) }),
      ]),
    );
    expect(await files.require()).toMatchObject({ key_set: { epoch: 7 }, roster: { version: 17 } });
    await files.saveEnrolled(node());
    expect(await files.require()).toMatchObject({ key_set: { epoch: 7 }, roster: { version: 17 } });
  });

  test("does not come back by what a late writer learned, and is not another node's", async () => {
    await files.saveEnrolled(node());
    await files.forgetServer();
    await files.learn({ node_id: "n1" }, { keySet: keySet(2) });
    expect(await files.enrolled()).toBeUndefined();
    await files.saveEnrolled({ ...node(), node_id: "n2" });
    await files.learn({ node_id: "n1" }, { keySet: keySet(2) });
    expect(await files.require()).toMatchObject({ node_id: "n2", key_set: { epoch: 1 } });
  });

  test("says since when the server refuses this node, until it is another or is known again", async () => {
    await files.saveEnrolled(node());
    await files.noteRefusal(node(), 5);
    await files.noteRefusal(node(), 9);
    expect(await files.refusedSince()).toBe(5);
    await files.saveEnrolled({ ...node(), node_id: "n2" });
    expect(await files.refusedSince()).toBeUndefined();
    await files.noteRefusal({ ...node(), node_id: "n2" }, 11);
    await files.forgetRefusal();
    expect(await files.refusedSince()).toBeUndefined();
  });

  test("keeps an API key that another process put there while this one asked for its own, and none after leaving", async () => {
    const [first, ours, theirs] = ["first", "ours", "theirs"].map((text) => new Secret(text)) as [
      Secret,
      Secret,
      Secret,
    ];
    await files.saveEnrolled(node());
    await files.saveApiKey(first);
    await new NodeFiles(directory).replaceApiKey(first, theirs);
    await files.replaceApiKey(first, ours);
    expect((await files.apiKey())?.reveal()).toBe("theirs");
    await files.forgetServer();
    await files.replaceApiKey(theirs, ours);
    expect(await files.apiKey()).toBeUndefined();
  });

  test("its introduction changes with the node and with its API key, and is neither", async () => {
    await files.saveEnrolled(node());
    const seen = [await files.introduction()];
    await files.saveApiKey(new Secret("ghn_00000000_key"));
    seen.push(await files.introduction());
    await files.saveEnrolled({ ...node(), node_id: "n2" });
    seen.push(await files.introduction());
    expect(new Set(seen).size).toBe(3);
    expect(seen.join()).not.toContain("ghn_");
    expect(await readFile(join(directory, "node.json"), "utf8")).not.toContain("ghn_");
  });
});

describe("a confirmation is held against what the host proved", () => {
  const answer = (more: object = {}) => ({
    node_id: "n1",
    api_key: "ghn_00000000_key",
    key_set: keySet(2),
    roster: roster(3),
    ca_chain: ["pem"],
    ...more,
  });
  const refusalOf = (more: object) => {
    try {
      checkConfirmation(answer(more), server(), keys);
      return undefined;
    } catch (failure) {
      return (failure as { readonly code?: string }).code;
    }
  };

  test("of two key sets the newer stands, wherever it was seen", () => {
    expect(checkConfirmation(answer(), server(), keys).key_set.epoch).toBe(2);
    const pending = { ...server(), key_set: keySet(5) };
    expect(checkConfirmation(answer(), pending, keys)).toMatchObject({ key_set: { epoch: 5 }, ca_chain: ["pem"] });
  });

  test("a roster of another organisation, without this host, or with another's keys for it is refused", () => {
    expect(refusalOf({})).toBeUndefined();
    expect(refusalOf({ roster: roster(3, { orgId: "o2" }) })).toBe("roster.refused");
    expect(refusalOf({ roster: roster(3, { nodes: [{ ...own(), nodeId: "n2" }] }) })).toBe("roster.refused");
    const other = new Uint8Array(32).fill(7);
    for (const swapped of [{ identityKey: other }, { encryptionKey: other }, { caKey: other }]) {
      expect(refusalOf({ roster: roster(3, { nodes: [{ ...own(), ...swapped }] }) })).toBe("roster.refused");
    }
  });

  test("what is no answer, another node's, or under another identity is refused", () => {
    expect(refusalOf({ ca_chain: "pem" })).toBe("server.untrusted");
    expect(refusalOf({ node_id: "n2" })).toBe("server.untrusted");
    expect(refusalOf({ key_set: { ...keySet(2), epoch: 3 } })).toBe("server.untrusted");
  });
});
