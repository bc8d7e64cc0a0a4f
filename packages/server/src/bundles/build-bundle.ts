import { base64url, bundleTuple, type CredentialBinding, Problem, type StateOfNode } from "@gatehouse/core";
import {
  type BundlePart,
  credentialPart,
  grantPart,
  keySetPart,
  policyPart,
  projectJwe,
  readBindings,
  type SignedBundle,
  sha256,
  writeManifest,
} from "@gatehouse/kit";
import type { Credential, CredentialRecords } from "../credentials/credential-records.ts";
import type { ServerKeys } from "../keys/server-keys.ts";
import type { Node, NodeRecords } from "../nodes/node-records.ts";
import type { RosterRecords } from "../orgs/roster-records.ts";
import { holdsNode } from "../policies/holds-node.ts";
import type { PolicyRecords } from "../policies/policy-records.ts";
import { hashPart } from "./hashed-part.ts";
import type { RosterParts } from "./roster-parts.ts";

export interface BundleTransaction {
  readonly orgId: string;
  readonly now: () => number;
  readonly nodes: NodeRecords;
  readonly roster: RosterRecords;
  readonly credentials: CredentialRecords;
  readonly policies: PolicyRecords;
}

export interface Bundle {
  readonly signed: SignedBundle;
  readonly parts: readonly { readonly sha256: Uint8Array; readonly content: Uint8Array }[];
}

type BundleKeys = Pick<ServerKeys, "keySet" | "working">;

export interface BundleDeps {
  readonly keys: BundleKeys;
  readonly rosters: RosterParts;
}

/** One node's desired state of this moment, with each credential as this node alone can open it. */
export async function buildBundle(
  tx: BundleTransaction,
  nodeId: string,
  { keys, rosters }: BundleDeps,
): Promise<Bundle> {
  const node = await tx.nodes.find(nodeId);
  if (node === undefined) throw new Problem("nodes.not_found");
  const roster = await rosters.newest(tx);
  const parts = [...(roster === undefined ? [] : [roster]), ...(await partsOf(tx, node, keys)).map(hashPart)];
  const manifest = writeManifest(
    parts.map(({ kind, id, version, sha256: hash }) => ({ kind, id, version, sha256: base64url(hash) })),
  );
  const state = { orgId: tx.orgId, nodeId, epoch: keys.keySet.epoch, generation: node.generation };
  return {
    signed: sign(state, { manifest, issuedAt: tx.now(), keys }),
    parts: parts.map(({ sha256: hash, content }) => ({ sha256: hash, content })),
  };
}

/** What the bundle holds beside the roster. */
async function partsOf(tx: BundleTransaction, node: Node, { keySet }: BundleKeys): Promise<readonly BundlePart[]> {
  // A node that is not where it should be gets nothing to use until an operator accepted it.
  const credentials = node.quarantineReason === undefined ? await tx.credentials.listOfNode(node.id) : [];
  const policies = (await tx.policies.list()).filter((policy) => holdsNode(policy, node));
  return [
    keySetPart(keySet),
    ...credentials.flatMap((credential) => partsOfCredential(credential, node)),
    ...policies.map((policy) => policyPart(policy, policy.updatedAt)),
  ];
}

function partsOfCredential(credential: Credential, { encryptionKey }: Node): readonly BundlePart[] {
  const jwe = projectJwe(credential.jwe, encryptionKey);
  if (jwe === undefined) return [];
  const { id: credentialId, name, version } = credential;
  const bindings: readonly CredentialBinding[] = readBindings(credential.bindings);
  return [
    credentialPart({ ...credential, credentialId, bindings, jwe }),
    grantPart({ credentialId, name, bindings }, version),
  ];
}

function sign(
  state: StateOfNode,
  { manifest, issuedAt, keys }: { readonly manifest: string; readonly issuedAt: number; readonly keys: BundleKeys },
): SignedBundle {
  const { epoch, generation } = state;
  const { id: keyId, key } = keys.working.bundle;
  const signature = key.sign(bundleTuple(state, issuedAt, sha256(manifest)));
  return { epoch, generation, issuedAt, manifest, keyId, signature };
}
