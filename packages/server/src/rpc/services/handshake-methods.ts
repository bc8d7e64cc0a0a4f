import type { ServiceImpl } from "@connectrpc/connect";
import type { BeginAuthHandshakeRequest, CompleteAuthHandshakeRequest, NodeGatewayService } from "@gatehouse/wire";
import type { ServerContext } from "../../server-context.ts";
import { beginHandshake } from "../../sessions/begin-handshake.ts";
import { completeHandshake } from "../../sessions/complete-handshake.ts";

/** How a node opens its session. */
export function handshakeMethods({ store, keys, bus, clock, random, origin, budgets }: ServerContext) {
  const { macKey, keySet, identityKey: serverIdentityKey } = keys;
  const own = { store, random, now: () => clock.now(), origin, macKey, keySet, serverIdentityKey };
  return {
    beginAuthHandshake: async ({ apiKey, identityPublicKey, clientNonce }: BeginAuthHandshakeRequest) => {
      const begun = await beginHandshake({ apiKey, identityKey: identityPublicKey, clientNonce }, own);
      return { ...begun, expiresAt: BigInt(begun.expiresAt) };
    },
    completeAuthHandshake: async (request: CompleteAuthHandshakeRequest) => {
      const { orgId, nodeId, sessionToken, ...done } = await completeHandshake(request, {
        ...own,
        budget: budgets.sessions,
      });
      bus.publish({ kind: "session", orgId, nodeId });
      const ends = { expiresAt: BigInt(done.expiresAt), apiKeyExpiresAt: BigInt(done.apiKeyExpiresAt) };
      return { sessionToken, sealedApiKey: done.sealedApiKey ?? "", ...ends };
    },
  } satisfies Partial<ServiceImpl<typeof NodeGatewayService>>;
}
