import { revocationTuple } from "@gatehouse/core";
import type { Revocation } from "../bundles/revocation-records.ts";
import type { ServerKeys } from "../keys/server-keys.ts";

export interface RevocationInput extends Pick<Revocation, "generation" | "ids"> {
  readonly orgId: string;
  readonly nodeId: string;
}

/** Says, signed, what a node must let go of at once. */
export function signRevocation(input: RevocationInput, { keySet, working }: Pick<ServerKeys, "keySet" | "working">) {
  const { orgId, nodeId, generation, ids } = input;
  const { epoch } = keySet;
  const { id: keyId, key } = working.bundle;
  const signature = key.sign(revocationTuple({ orgId, nodeId, epoch, generation }, ids));
  return { epoch: BigInt(epoch), generation: BigInt(generation), ids: [...ids], keyId, signature };
}
