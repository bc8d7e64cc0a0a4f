import { constantTimeEqual } from "@gatehouse/core";
import type { SignedRoster, SigningKey } from "@gatehouse/kit";
import type { Operator } from "./open-operator.ts";

/**
 * What this machine signs with: its operator key where the roster lists it, else the org key. Fails with
 * `org.key_missing`.
 */
export async function chooseSigner({ files }: Pick<Operator, "files">, roster: SignedRoster): Promise<SigningKey> {
  const own = await files.openOperatorKey();
  const isListed = roster.operatorKeys.some((key) => constantTimeEqual(key, own.publicKey));
  return isListed ? own : files.requireOrgKey();
}
