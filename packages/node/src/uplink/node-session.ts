import { type Client, createClient } from "@connectrpc/connect";
import { handshakeTuple, Problem, Secret, systemRandom } from "@gatehouse/core";
import { type KeySetDocument, openKnownChannel, type SigningKey, sha256, toServerProblem } from "@gatehouse/kit";
import { NodeGatewayService } from "@gatehouse/wire";
import { type HostKeys, openHostKeys } from "./host-keys.ts";
import { type EnrolledNode, knownServer, NodeFiles } from "./node-files.ts";
import { SessionProofs } from "./session-proofs.ts";

/** One verified connection on which this node has its session. */
export interface NodeSession extends Disposable {
  readonly node: EnrolledNode;
  /** The newest key set that this host took from anywhere. Fails with `enroll.not_enrolled`. */
  keySet(): Promise<KeySetDocument>;
  /** Takes the key set of an epoch that the server announced. Fails with `server.untrusted`. */
  learnKeySet(epoch: number): Promise<unknown>;
  readonly identity: SigningKey;
  readonly gateway: Client<typeof NodeGatewayService>;
  readonly proofs: SessionProofs;
  readonly closed: Promise<void>;
}

const NONCE_BYTES = 32;

/**
 * Answers the server's challenge with the node's key and opens the session. A fresh API key that comes along is on disk
 * before the session is used. Fails with `enroll.not_enrolled`, `auth.…`, `server.…`.
 */
export async function openNodeSession(stateDir: string, signal?: AbortSignal): Promise<NodeSession> {
  const files = new NodeFiles(stateDir);
  const [node, apiKey, keys] = [await files.enrolled(), await files.apiKey(), await openHostKeys(stateDir)];
  if (node === undefined || apiKey === undefined) throw new Problem("enroll.not_enrolled");
  const proofs = new SessionProofs(node.server_url, keys);
  const channel = await openKnownChannel(
    knownServer(node, (keySet) => files.learn(node, { keySet })),
    { signal, interceptors: [proofs.interceptor] },
  );
  try {
    const gateway = createClient(NodeGatewayService, channel.transport);
    const { token, expiresAt } = await shakeHands(gateway, { node, apiKey, keys, files });
    proofs.begin(token, expiresAt);
    return {
      node,
      keySet: async () => (await files.require()).key_set,
      learnKeySet: (epoch) => channel.learnKeySet(epoch),
      identity: keys.identity,
      gateway,
      proofs,
      closed: channel.closed,
      [Symbol.dispose]: () => channel[Symbol.dispose](),
    };
  } catch (failure) {
    channel[Symbol.dispose]();
    throw toServerProblem(failure);
  }
}

interface HandshakeParts {
  readonly node: EnrolledNode;
  readonly apiKey: Secret;
  readonly keys: HostKeys;
  readonly files: NodeFiles;
}

async function shakeHands(gateway: Client<typeof NodeGatewayService>, { node, apiKey, keys, files }: HandshakeParts) {
  const clientNonce = systemRandom.bytes(NONCE_BYTES);
  const { publicKey: identityKey } = keys.identity;
  const claim = { apiKey: apiKey.reveal(), identityPublicKey: identityKey, clientNonce };
  const { challenge, serverNonce } = await gateway.beginAuthHandshake(claim).catch(async (failure: unknown) => {
    const problem = toServerProblem(failure);
    if (problem instanceof Problem && problem.code === "auth.refused") await files.noteRefusal(node, Date.now());
    throw problem;
  });
  const own = { origin: node.server_url, serverIdentityKey: node.server_identity_key, nodeId: node.node_id };
  const tuple = handshakeTuple({ ...own, challenge, clientNonce, serverNonce, identityKey });
  const done = await gateway.completeAuthHandshake({ challenge, signature: keys.identity.sign(tuple) });
  await files.forgetRefusal();
  await files.noteKeyExpiry(Number(done.apiKeyExpiresAt));
  if (done.sealedApiKey !== "")
    await files.replaceApiKey(apiKey, await keys.encryption.open(done.sealedApiKey, sha256(tuple)));
  return { token: new Secret(done.sessionToken), expiresAt: Number(done.expiresAt) };
}
