import { Problem, type RosterJoin } from "@gatehouse/core";
import type { Roster, RosterJoin as RosterJoinMessage } from "@gatehouse/wire";
import type { SignedRoster } from "./roster-document.ts";

type Message<T> = Omit<T, "$typeName" | "$unknown">;

/** A roster as it came; whose it is, the caller's session says. Fails with `api.malformed`. */
export function readRosterMessage(orgId: string, roster: Message<Roster> | undefined): SignedRoster {
  if (roster === undefined) throw new Problem("api.malformed", { detail: "roster is missing." });
  const { version, issuedAt, nodes, operatorKeys, joins, signer, signature } = roster;
  const counted = { version: toNumber(version), issuedAt: toNumber(issuedAt) };
  return { orgId, ...counted, nodes, operatorKeys, joins: joins.map(readJoin), signer, signature };
}

/** A roster as it is sent. */
export function writeRosterMessage(roster: SignedRoster) {
  const { version, issuedAt, nodes, operatorKeys, joins = [], signer, signature } = roster;
  return {
    version: BigInt(version),
    issuedAt: BigInt(issuedAt),
    nodes: nodes.map(({ nodeId, identityKey, encryptionKey, caKey }) => ({
      nodeId,
      identityKey,
      encryptionKey,
      caKey,
    })),
    operatorKeys: [...operatorKeys],
    joins: joins.map(writeJoin),
    signer,
    signature,
  };
}

function readJoin({ parents, version, sha256 }: RosterJoinMessage): RosterJoin {
  const named = parents.map((parent) => ({ version: toNumber(parent.version), sha256: parent.sha256 }));
  return { version: toNumber(version), sha256, parents: named };
}

function writeJoin({ parents, version, sha256 }: RosterJoin) {
  const named = parents.map((parent) => ({ version: BigInt(parent.version), sha256: parent.sha256 }));
  return { version: BigInt(version), sha256, parents: named };
}

function toNumber(value: bigint): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number)) throw new Problem("api.malformed", { detail: "A number is out of range." });
  return number;
}
