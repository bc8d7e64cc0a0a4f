import { Problem } from "@gatehouse/core";
import type { SignedRoster } from "@gatehouse/kit";
import type { Roster } from "@gatehouse/wire";
import { toSafeNumber } from "./safe-number.ts";

/** A roster as it came; whose it is, the caller's session says. */
export function readRoster(orgId: string, roster: Roster | undefined): SignedRoster {
  if (roster === undefined) throw new Problem("api.malformed", { detail: "roster is missing." });
  const { version, issuedAt, nodes, operatorKeys, signer, signature } = roster;
  return {
    orgId,
    version: toSafeNumber(version),
    issuedAt: toSafeNumber(issuedAt),
    nodes,
    operatorKeys,
    signer,
    signature,
  };
}

/** A roster as it is sent. */
export function writeRoster({ version, issuedAt, nodes, operatorKeys, signer, signature }: SignedRoster) {
  const list = nodes.map((node) => ({ ...node }));
  return {
    version: BigInt(version),
    issuedAt: BigInt(issuedAt),
    nodes: list,
    operatorKeys: [...operatorKeys],
    signer,
    signature,
  };
}
