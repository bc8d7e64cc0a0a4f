import { credentialTuple, makeUuid, Secret, systemRandom } from "@gatehouse/core";
import { sealCredential, writeBindings } from "@gatehouse/kit";
import type { SealedCredential } from "@gatehouse/wire";
import { type HostUnderTest, type OrgUnderTest, type Pair, signWith } from "./fleet-under-test.ts";

export const VALUE = "ghp_0123456789abcdefghijklmnopqrstuvwxyz";
export const BINDINGS = [{ hosts: ["api.example.com"], header: "authorization", format: "Bearer {value}" }];

export type SealedUnderTest = Omit<SealedCredential, "$typeName" | "$unknown">;

export interface SealOptions {
  readonly id?: string;
  readonly version?: number;
  /** Default: the organisation's key. */
  readonly signer?: Pair;
  /** Encryption keys that are no node's. */
  readonly further?: readonly Uint8Array[];
}

/** A credential as an operator's machine seals it to hosts, which belong to one organisation. */
export async function sealUnderTest(
  { org, hosts }: { readonly org: OrgUnderTest; readonly hosts: readonly HostUnderTest[] },
  name: string,
  { id = makeUuid(Date.now(), systemRandom), version = 1, signer = org.orgKey, further = [] }: SealOptions = {},
): Promise<SealedUnderTest> {
  const { kind, ...bound } = boundTo(org, { id, name, version });
  const keys = [...hosts.map((host) => host.encryption.publicKey), org.encryption.publicKey, ...further];
  const signing = { publicKey: signer.publicKey, sign: (message: Uint8Array) => signWith(signer, message) };
  const sealed = await sealCredential({ ...bound, kind }, new Secret(VALUE), { recipients: keys, signer: signing });
  const nodeIds = hosts.map((host) => host.registered.nodeId);
  const own = { credentialId: id, name, version: BigInt(version), kind };
  return { ...sealed, ...own, bindings: writeBindings(BINDINGS), nodeIds };
}

/** What the first version of a credential is bound to, as bytes. */
export function aadUnderTest(org: OrgUnderTest, { credentialId: id, name }: SealedUnderTest): Uint8Array {
  return credentialTuple(boundTo(org, { id, name, version: 1 }));
}

interface Named {
  readonly id: string;
  readonly name: string;
  readonly version: number;
}

function boundTo({ orgId }: OrgUnderTest, { id: credentialId, name, version }: Named) {
  return { orgId, credentialId, name, version, kind: "static", bindings: BINDINGS, endpoints: [] };
}
