import { type BoundCredential, credentialTuple, Problem, resealTuple } from "@gatehouse/core";
import { joinRecipients, keepRecipients, type SignedRoster } from "@gatehouse/kit";
import { Liveness } from "@gatehouse/wire";
import { chooseSigner } from "./choose-signer.ts";
import { commandNode } from "./command-node.ts";
import type { Operator } from "./open-operator.ts";
import { type ProvenCredential, provenCredential } from "./proven-credential.ts";
import { putSealed } from "./put-sealed.ts";
import { findNodes } from "./roster-nodes.ts";

export interface Resealing {
  readonly name: string;
  readonly roster: SignedRoster;
  /** Records of the roster: who may open it too. */
  readonly to: readonly Recipient[];
  /** Name or id of the node that seals onward; absent: the org key where it lies here, else whichever is online. */
  readonly via?: string | undefined;
  /** A record of the roster: who hands it over, sealing it onward, and may not open it any more. */
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
  const sealed =
    keys.length === 0
      ? credential.jwe
      : await sealOnward(operator, { ...proven, roster, keys, via: from?.nodeId ?? via });
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
  const holder = await chooseHolder(operator, order);
  const recipients = [holder.encryptionKey, ...keys];
  return joinRecipients(credential.jwe, await orderParts(operator, { ...order, holder, recipients }), recipients);
}

interface Order extends ProvenCredential {
  readonly roster: SignedRoster;
  readonly keys: readonly Uint8Array[];
  readonly via: string | undefined;
}

interface Ordered extends Order {
  readonly holder: Recipient;
  readonly recipients: readonly Uint8Array[];
}

/** The holder's own key stands in the order: no other node follows it, whichever the server shows it to. */
async function orderParts(
  operator: Operator,
  { bound: { credentialId, version }, roster, holder, recipients }: Ordered,
): Promise<string> {
  const signer = await chooseSigner(operator, roster);
  const notAfter = Date.now() + ORDER_TTL_MS;
  const tuple = resealTuple({ orgId: operator.server.orgId, credentialId, version, recipients, notAfter });
  const counted = { version: BigInt(version), notAfter: BigInt(notAfter) };
  const order = { credentialId, recipients: [...recipients], ...counted, signer: signer.publicKey };
  const value = { ...order, signature: signer.sign(tuple) };
  const { payload } = await commandNode(operator, holder.nodeId, { kind: { case: "reseal", value } });
  return new TextDecoder().decode(payload);
}

async function chooseHolder(operator: Operator, { credential: { nodeIds }, roster, via }: Order): Promise<Recipient> {
  if (via !== undefined) {
    const [named] = await findNodes(operator, roster, [via]);
    if (named !== undefined && nodeIds.includes(named.nodeId)) return named;
    throw new Problem("credentials.no_holder", { detail: `${via} cannot open it.` });
  }
  const { nodes } = await operator.nodes.listNodes({ pageSize: 2_500 });
  const online = nodes.flatMap(({ id, liveness }) =>
    liveness === Liveness.ONLINE && nodeIds.includes(id) ? [id] : [],
  );
  const holder = roster.nodes.find(({ nodeId }) => online.includes(nodeId));
  if (holder === undefined) throw new Problem("credentials.no_holder");
  return holder;
}
