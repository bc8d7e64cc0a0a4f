import { encodeTuple, type TupleField } from "../encoding/signed-tuple.ts";
import { Problem } from "../problem.ts";

type Bytes = Uint8Array;

export interface CredentialBinding {
  readonly hosts: readonly string[];
  readonly header: string;
  readonly format: string;
  readonly methods?: readonly string[] | undefined;
  readonly paths?: readonly string[] | undefined;
}

export interface BoundCredential {
  readonly orgId: string;
  readonly credentialId: string;
  readonly name: string;
  readonly version: number;
  readonly kind: string;
  readonly bindings: readonly CredentialBinding[];
  /** Token and STS endpoints of kinds that have some. */
  readonly endpoints: readonly string[];
}

/**
 * The associated data of a sealed credential: with another destination or slot it cannot be opened. No list of methods
 * or paths, which is all of them, is an empty one here, so that a list that is empty fails with `credentials.refused`.
 */
export function credentialTuple(credential: BoundCredential): Bytes {
  const { orgId, credentialId, name, version, kind, bindings, endpoints } = credential;
  const destinations = bindings.flatMap(({ hosts }) => hosts);
  const slots = bindings.map(({ hosts, header, format, methods, paths }): TupleField => {
    return [[...hosts], header.toLowerCase(), format, listOf(methods), listOf(paths)];
  });
  const own = [orgId, credentialId, version, kind, destinations, slots, [...endpoints], name];
  return encodeTuple("gatehouse/credential/v1", ...own);
}

function listOf(texts: readonly string[] | undefined): readonly string[] {
  if (texts?.length === 0) throw new Problem("credentials.refused", { detail: "A list of methods or paths is empty." });
  return [...(texts ?? [])];
}

export interface SealedParts {
  readonly aadSha256: Bytes;
  readonly protectedSha256: Bytes;
  readonly iv: Bytes;
  readonly ciphertextSha256: Bytes;
  readonly tag: Bytes;
}

/** What whoever seals signs. Survives projection to one recipient. */
export function sealedTuple({ aadSha256, protectedSha256, iv, ciphertextSha256, tag }: SealedParts): Bytes {
  return encodeTuple("gatehouse/sealed/v1", aadSha256, protectedSha256, iv, ciphertextSha256, tag);
}

export interface ResealOrder {
  readonly orgId: string;
  readonly credentialId: string;
  /** Of the value that is sealed onward: the next one may be for fewer nodes. */
  readonly version: number;
  /** X25519: of the node that is to follow it, which opens it already, and of those that it is sealed to. */
  readonly recipients: readonly Bytes[];
  readonly notAfter: number;
}

/** What an operator or the org key signs so that a node seals a credential to further nodes. */
export function resealTuple({ orgId, credentialId, version, recipients, notAfter }: ResealOrder): Bytes {
  return encodeTuple("gatehouse/reseal/v2", orgId, credentialId, version, [...recipients], notAfter);
}
