import { PIN_BYTES, pinTuple, setupPinTuple } from "@gatehouse/core";
import { sha256 } from "@gatehouse/kit";
import type { Org } from "./org-records.ts";

/** What codes carry so that a host knows the right server and organisation. */
export function orgPin(serverIdentityKey: Uint8Array, { id, orgKey }: Pick<Org, "id" | "orgKey">): Uint8Array {
  return sha256(pinTuple(serverIdentityKey, id, orgKey)).subarray(0, PIN_BYTES);
}

/** What set-up codes carry: there is no organisation yet. */
export function setupPin(serverIdentityKey: Uint8Array): Uint8Array {
  return sha256(setupPinTuple(serverIdentityKey)).subarray(0, PIN_BYTES);
}
