import { type BoundCredential, constantTimeEqual, Problem } from "@gatehouse/core";
import { isSealedBy, readBindings, type SignedRoster, toServerProblem } from "@gatehouse/kit";
import type { SealedCredential } from "@gatehouse/wire";
import type { Operator } from "./open-operator.ts";

/** A sealed credential as the server keeps it, and what an operator bound it to. */
export interface ProvenCredential {
  readonly credential: SealedCredential;
  readonly bound: BoundCredential;
}

/**
 * The credential of a name, once it is proven to be that one: under another's id or in another's place, what is done for
 * the one that a person named would be done to the other. `undefined`: the server knows none. Fails with
 * `credentials.refused` where it is not what somebody who may signed under this name.
 */
export async function provenCredential(
  { server, credentials }: Pick<Operator, "server" | "credentials">,
  roster: SignedRoster,
  name: string,
): Promise<ProvenCredential | undefined> {
  const credential = await find(credentials, name);
  if (credential === undefined) return undefined;
  const bound = boundOf(credential, server.orgId);
  const vouched = [server.orgKey, ...roster.operatorKeys].some((key) => constantTimeEqual(key, credential.signer));
  if (name !== bound.name || !vouched || !isSealedBy(bound, credential)) throw new Problem("credentials.refused");
  return { credential, bound };
}

async function find(credentials: Operator["credentials"], name: string): Promise<SealedCredential | undefined> {
  try {
    return (await credentials.getCredential({ name })).credential;
  } catch (failure) {
    const problem = toServerProblem(failure);
    if (problem instanceof Problem && problem.code === "credentials.not_found") return undefined;
    throw failure;
  }
}

function boundOf({ credentialId, name, version, kind, bindings }: SealedCredential, orgId: string): BoundCredential {
  const own = { orgId, credentialId, name, kind, endpoints: [] };
  return { ...own, version: Number(version), bindings: readBindings(bindings) };
}
