import type { RosterNode } from "@gatehouse/core";
import { describe, expect, test } from "vitest";
import { refuseTakenId } from "../src/operator/taken-id.ts";

function node(nodeId: string, byte: number): RosterNode & { readonly replacesNodeId: string } {
  const key = new Uint8Array(32).fill(byte);
  return { nodeId, identityKey: key, encryptionKey: key, caKey: key, replacesNodeId: "" };
}

const roster = { nodes: [node("id-of-db", 1)] };
const names = new Map([["db", "id-of-db"]]);
const untrusted = expect.objectContaining({ code: "server.untrusted" });

describe("a host that a server shows for confirmation", () => {
  test("under an id that nobody has, or again under its own, is taken", () => {
    expect(() => refuseTakenId({ ...node("id-of-web", 2), name: "web" }, roster, names)).not.toThrow();
    expect(() => refuseTakenId({ ...node("id-of-db", 1), name: "db" }, roster, names)).not.toThrow();
  });

  test.each(["identityKey", "encryptionKey", "caKey"] as const)(
    "under the id of a node with another %s is refused, whatever it is called",
    (key) => {
      const host = { ...node("id-of-db", 1), [key]: new Uint8Array(32).fill(2), name: "db" };
      expect(() => refuseTakenId(host, roster, new Map())).toThrow(untrusted);
    },
  );

  test("under the id of a node that was confirmed here by another name is refused, on the roster or struck", () => {
    expect(() => refuseTakenId({ ...node("id-of-db", 2), name: "web" }, { nodes: [] }, names)).toThrow(untrusted);
  });

  test("to replace a node is taken for the one of its name alone", () => {
    const host = { ...node("id-of-new", 2), name: "db" };
    expect(() => refuseTakenId({ ...host, replacesNodeId: "id-of-db" }, roster, names)).not.toThrow();
    expect(() => refuseTakenId({ ...host, replacesNodeId: "id-of-web" }, roster, names)).toThrow(untrusted);
  });
});
