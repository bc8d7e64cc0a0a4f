import { constantTimeEqual } from "@gatehouse/core";
import { allPages } from "./all-pages.ts";
import type { Operator } from "./open-operator.ts";
import { nameItSaid } from "./server-said.ts";

/** The names of the credentials that one of these keys sealed. Fails with `server.untrusted` where one is no name. */
export async function sealedBy(
  { credentials }: Pick<Operator, "credentials">,
  keys: readonly Uint8Array[],
): Promise<readonly string[]> {
  if (keys.length === 0) return [];
  const signed: string[] = [];
  for (const { name } of await allPages(credentials.listCredentials, (page) => page.credentials)) {
    const { credential } = await credentials.getCredential({ name });
    if (credential !== undefined && keys.some((key) => constantTimeEqual(credential.signer, key)))
      signed.push(nameItSaid(name));
  }
  return signed;
}
