import { PIN_BYTES, pinTuple, setupPinTuple } from "@gatehouse/core";
import { sha256 } from "../keys/sha256.ts";

/** What codes carry so that a host knows the right server and organisation: 16 bytes. */
export function orgPin(serverIdentityKey: Uint8Array, orgId: string, orgKey: Uint8Array): Uint8Array {
  return sha256(pinTuple(serverIdentityKey, orgId, orgKey)).subarray(0, PIN_BYTES);
}

/** What set-up codes carry: there is no organisation yet. */
export function setupPin(serverIdentityKey: Uint8Array): Uint8Array {
  return sha256(setupPinTuple(serverIdentityKey)).subarray(0, PIN_BYTES);
}
