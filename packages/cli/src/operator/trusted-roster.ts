import { constantTimeEqual, Problem } from "@gatehouse/core";
import { checkRoster, type SignedRoster } from "@gatehouse/kit";
import type { GetOrgResponse } from "@gatehouse/wire";
import { note } from "../terminal/print.ts";
import type { Operator } from "./open-operator.ts";
import { writeRoster } from "./sign-roster.ts";

type Machine = Pick<Operator, "files" | "server" | "org">;

/**
 * The roster that the server shows, once it is proven: signed by the org key, or by an operator key of the one that this
 * machine knew before, and not older than that one: what this machine knows is handed to a server that knows less. It is
 * remembered. Fails with `roster.refused`.
 */
export async function trustRoster({ roster }: GetOrgResponse, operator: Machine): Promise<SignedRoster> {
  const { files, server } = operator;
  const known = await files.roster();
  if (known !== undefined && Number(roster?.version ?? 0n) < known.version) return putBack(known, operator);
  if (roster === undefined) throw new Problem("roster.refused", { detail: "The organisation has none." });
  const { version, issuedAt, ...own } = roster;
  const shown = { ...own, orgId: server.orgId, version: Number(version), issuedAt: Number(issuedAt) };
  if (known?.version === shown.version) {
    if (constantTimeEqual(known.signature, shown.signature)) return known;
    throw new Problem("roster.refused", { detail: "The server shows another one of this version." });
  }
  const before = known ?? { ...shown, operatorKeys: [], signature: new Uint8Array() };
  checkRoster(shown, { ...before, version: shown.version - 1 }, server.orgKey);
  await files.saveRoster(shown);
  return shown;
}

/** A server that was put back from a backup shows an older one; what is on no newer one signs and opens nothing here. */
async function putBack(known: SignedRoster, { org }: Machine): Promise<SignedRoster> {
  try {
    await org.putRoster({ roster: writeRoster(known), isPutBack: true });
  } catch (cause) {
    throw new Problem("roster.refused", {
      detail: "The server shows an older one than this machine has seen, and does not take the newer one.",
      cause,
    });
  }
  note(`the server knew an older roster than this machine; it has version ${known.version} again`);
  return known;
}
