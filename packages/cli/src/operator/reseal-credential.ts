import { type BoundCredential, credentialTuple, Problem, resealTuple } from "@gatehouse/core";
import { joinRecipients, keepRecipients, type SignedRoster } from "@gatehouse/kit";
import { Liveness, type SealedCredential } from "@gatehouse/wire";
import { chooseSigner } from "./choose-signer.ts";
import { commandNode } from "./command-node.ts";
import type { Operator } from "./open-operator.ts";
import { type ProvenCredential, provenCredential } from "./proven-credential.ts";
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
  const proven = await provenCredential(operator, roster, name);
  if (proven === undefined) throw new Problem("credentials.not_found");
  const { credential, bound } = proven;
  const fresh = to.filter(({ nodeId }) => !credential.nodeIds.includes(nodeId));
  const keys = fresh.map(({ encryptionKey }) => encryptionKey);
  const sealed = keys.length === 0 ? credential.jwe : await sealOnward(operator, { ...proven, roster, keys, via });
  const nodeIds = [...credential.nodeIds, ...fresh.map(({ nodeId }) => nodeId)].filter((id) => id !== from?.nodeId);
  // Parts of nodes that ended since stay in the document until it is put again.
  const holders = roster.nodes.filter(({ nodeId }) => nodeIds.includes(nodeId));
  const kept = [...holders.map(({ encryptionKey }) => encryptionKey), operator.server.orgEncryptionKey];
  const { signer, signature } = credential;
  await putSealed(operator, bound, { jwe: keepRecipients(sealed, kept), nodeIds, signer, signature });
  return bound;
}

async function sealOnward(operator: Operator, order: Order): Promise<string> {
  const { credential, bound, keys, via } = order;
  const own = via === undefined ? await operator.files.orgEncryptionKey() : undefined;
  if (own !== undefined) return own.sealOnward(credential.jwe, { aad: credentialTuple(bound), keys });
  return joinRecipients(credential.jwe, await orderParts(operator, order), keys);
}

interface Order extends ProvenCredential {
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
