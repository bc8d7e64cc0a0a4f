import { Problem, toProblem } from "@gatehouse/core";
import {
  checkFirstRoster,
  checkLaterRoster,
  readRosterMessage,
  type SignedRoster,
  toServerProblem,
  writeRosterMessage,
} from "@gatehouse/kit";
import type { GetOrgResponse } from "@gatehouse/wire";
import { note } from "../terminal/print.ts";
import type { Operator } from "./open-operator.ts";

type Machine = Pick<Operator, "files" | "server" | "org">;

/** How the roster that a server shows stands to the one that a machine knows. */
export type Standing = "same" | "behind" | "ahead" | "split";

/**
 * The roster that the server shows, once it is proven: signed by the org key, or by an operator key of the one that this
 * machine knew before, and not older than that one: what this machine knows is handed to a server that knows less. It is
 * remembered. Fails with `roster.refused`, `roster.split`.
 */
export async function trustRoster({ roster }: GetOrgResponse, operator: Machine): Promise<SignedRoster> {
  const { files, server } = operator;
  const known = await files.roster();
  if (known !== undefined && Number(roster?.version ?? 0n) < known.version) return putBack(known, operator);
  if (roster === undefined) throw new Problem("roster.refused", { detail: "The organisation has none." });
  const shown = readRosterMessage(server.orgId, roster);
  if (known === undefined) checkFirstRoster(shown, server.orgKey);
  else if (checkLaterRoster(shown, known, server.orgKey) === "same") return known;
  await files.saveRoster(shown);
  return shown;
}

/** Says how a roster that a server shows stands to a known one, and changes nothing. Fails with `roster.refused`. */
export function standingOf(shown: SignedRoster, known: SignedRoster, orgKey: Uint8Array): Standing {
  const isBehind = shown.version < known.version;
  // What was signed later under a lower version was signed by somebody who did not know the higher one.
  if (isBehind && shown.issuedAt > known.issuedAt) {
    checkFirstRoster(shown, orgKey);
    return "split";
  }
  try {
    const placed = isBehind ? checkLaterRoster(known, shown, orgKey) : checkLaterRoster(shown, known, orgKey);
    if (placed === "same") return "same";
    return isBehind ? "behind" : "ahead";
  } catch (failure) {
    if (toProblem(failure).code === "roster.split") return "split";
    throw failure;
  }
}

/** A server that was put back from a backup shows an older one; what is on no newer one signs and opens nothing here. */
async function putBack(known: SignedRoster, { org }: Machine): Promise<SignedRoster> {
  try {
    await org.putRoster({ roster: writeRosterMessage(known), isPutBack: true });
  } catch (cause) {
    const isSplit = toProblem(toServerProblem(cause)).code === "roster.split";
    throw new Problem(isSplit ? "roster.split" : "roster.refused", {
      detail: "The server shows an older one than this machine has seen, and does not take the newer one.",
      cause,
    });
  }
  note(`the server knew an older roster than this machine; it has version ${known.version} again`);
  return known;
}
