import { type BoundCredential, constantTimeEqual, Problem, resealTuple } from "@gatehouse/core";
import { isSealedBy, joinRecipients, leaveOutRecipient, readBindings, type SignedRoster } from "@gatehouse/kit";
import { Liveness, type SealedCredential } from "@gatehouse/wire";
import { chooseSigner } from "./choose-signer.ts";
import { commandNode } from "./command-node.ts";
import type { Operator } from "./open-operator.ts";
import { putSealed } from "./put-sealed.ts";

export interface Resealing {
  readonly name: string;
  readonly roster: SignedRoster;
  /** Records of the roster: who may open it too. */
  readonly to: readonly Recipient[];
  /** Name or id of the node that seals onward; absent: the org key where it lies here, else whichever is online. */
  readonly via?: string | undefined;
  /** A record of the roster: who may not open it any more. */
  readonly from?: Recipient | undefined;
}

type Recipient = Pick<SignedRoster["nodes"][number], "nodeId" | "encryptionKey">;

/** How long a node may take the order for one of now, clocks that differ included. */
const ORDER_TTL_MS = 600_000;

/**
 * Seals a credential to further nodes without changing its value: by the org key on this machine, or by a node that can
 * open it, which follows this operator's signature and nothing else. What was signed before stays what is stored. Fails
 * with `credentials.not_found`, `credentials.refused`, `credentials.no_holder`, `commands.…`.
 */
export async function resealCredential(
  operator: Operator,
  { name, roster, to, via, from }: Resealing,
): Promise<BoundCredential> {
  const { server, credentials } = operator;
  const { credential } = await credentials.getCredential({ name });
  if (credential === undefined) throw new Problem("credentials.not_found");
  const bound = boundOf(credential, server.orgId);
  const vouched = [server.orgKey, ...roster.operatorKeys].some((key) => constantTimeEqual(key, credential.signer));
  if (!vouched || !isSealedBy(bound, credential)) throw new Problem("credentials.refused");
  const fresh = to.filter(({ nodeId }) => !credential.nodeIds.includes(nodeId));
  const keys = fresh.map(({ encryptionKey }) => encryptionKey);
  const sealed = keys.length === 0 ? credential.jwe : await sealOnward(operator, { credential, roster, keys, via });
  const jwe = from === undefined ? sealed : leaveOutRecipient(sealed, from.encryptionKey);
  const nodeIds = [...credential.nodeIds, ...fresh.map(({ nodeId }) => nodeId)].filter((id) => id !== from?.nodeId);
  await putSealed(operator, bound, { jwe, nodeIds, signer: credential.signer, signature: credential.signature });
  return bound;
}

async function sealOnward(operator: Operator, order: Order): Promise<string> {
  const { credential, keys, via } = order;
  const own = via === undefined ? await operator.files.orgEncryptionKey() : undefined;
  if (own !== undefined) return own.sealOnward(credential.jwe, keys);
  return joinRecipients(credential.jwe, await orderParts(operator, order), keys);
}

interface Order {
  readonly credential: SealedCredential;
  readonly roster: SignedRoster;
  readonly keys: readonly Uint8Array[];
  readonly via: string | undefined;
}

async function orderParts(operator: Operator, { credential, roster, keys, via }: Order): Promise<string> {
  const holder = await chooseHolder(operator, credential, via);
  const signer = await chooseSigner(operator, roster);
  const notAfter = Date.now() + ORDER_TTL_MS;
  const { credentialId } = credential;
  const tuple = resealTuple({ orgId: operator.server.orgId, credentialId, recipients: keys, notAfter });
  const order = { credentialId, recipients: [...keys], notAfter: BigInt(notAfter), signer: signer.publicKey };
  const value = { ...order, signature: signer.sign(tuple) };
  const { payload } = await commandNode(operator, holder, { kind: { case: "reseal", value } });
  return new TextDecoder().decode(payload);
}

async function chooseHolder({ nodes }: Operator, { nodeIds }: SealedCredential, via: string | undefined) {
  if (via !== undefined) {
    const { node } = await nodes.getNode({ node: via });
    if (node !== undefined && nodeIds.includes(node.id)) return node.id;
    throw new Problem("credentials.no_holder", { detail: `${via} cannot open it.` });
  }
  const listed = (await nodes.listNodes({ pageSize: 2_500 })).nodes;
  const holder = listed.find(({ id, liveness }) => nodeIds.includes(id) && liveness === Liveness.ONLINE);
  if (holder === undefined) throw new Problem("credentials.no_holder");
  return holder.id;
}

function boundOf({ credentialId, name, version, kind, bindings }: SealedCredential, orgId: string): BoundCredential {
  const own = { orgId, credentialId, name, kind, endpoints: [] };
  return { ...own, version: Number(version), bindings: readBindings(bindings) };
}
