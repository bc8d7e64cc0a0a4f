import { freshnessTuple } from "@gatehouse/core";
import type { ServerKeys } from "../keys/server-keys.ts";

export interface FreshnessInput {
  readonly orgId: string;
  readonly nodeId: string;
  readonly generation: number;
  readonly serverTime: number;
}

/** Says, signed, which desired state was a node's newest at this time. */
export function signFreshness(input: FreshnessInput, { keySet, working }: Pick<ServerKeys, "keySet" | "working">) {
  const { orgId, nodeId, generation, serverTime } = input;
  const { epoch } = keySet;
  const { id: keyId, key } = working.bundle;
  const signature = key.sign(freshnessTuple({ orgId, nodeId, epoch, generation }, serverTime));
  return {
    epoch: BigInt(epoch),
    generation: BigInt(generation),
    serverTime: BigInt(serverTime),
    keyId,
    signature,
  };
}
