import type { BoundCredential } from "@gatehouse/core";
import { writeBindings } from "@gatehouse/kit";
import type { SealedCredential } from "@gatehouse/wire";
import type { Operator } from "./open-operator.ts";

/** Hands ciphertext over, with what it is bound to. Fails as the server refuses it. */
export async function putSealed(
  { credentials }: Pick<Operator, "credentials">,
  { credentialId, name, version, kind, bindings }: BoundCredential,
  sealed: Pick<SealedCredential, "jwe" | "signer" | "signature" | "nodeIds">,
): Promise<void> {
  const own = { credentialId, name, kind, version: BigInt(version), bindings: writeBindings(bindings) };
  await credentials.putCredential({ credential: { ...own, ...sealed } });
}
