import { constantTimeEqual, Problem } from "@gatehouse/core";
import { checkRoster, type SignedRoster } from "@gatehouse/kit";
import type { GetOrgResponse } from "@gatehouse/wire";
import type { OperatorFiles, OperatorServer } from "./operator-files.ts";

/**
 * The roster that the server shows, once it is proven: signed by the org key, or by an operator key of the one that this
 * machine knew before, and not older than that one. It is remembered. Fails with `roster.refused`.
 */
export async function trustRoster(
  { roster }: GetOrgResponse,
  { files, server }: { readonly files: OperatorFiles; readonly server: OperatorServer },
): Promise<SignedRoster> {
  if (roster === undefined) throw new Problem("roster.refused", { detail: "The organisation has none." });
  const { version, issuedAt, ...own } = roster;
  const shown = { ...own, orgId: server.orgId, version: Number(version), issuedAt: Number(issuedAt) };
  const known = await files.roster();
  if (known !== undefined && shown.version < known.version) {
    throw new Problem("roster.refused", { detail: "The server shows an older one than this machine has seen." });
  }
  if (known?.version === shown.version) {
    if (constantTimeEqual(known.signature, shown.signature)) return known;
    throw new Problem("roster.refused", { detail: "The server shows another one of this version." });
  }
  const before = known ?? { ...shown, operatorKeys: [], signature: new Uint8Array() };
  checkRoster(shown, { ...before, version: shown.version - 1 }, server.orgKey);
  await files.saveRoster(shown);
  return shown;
}
