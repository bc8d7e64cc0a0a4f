import type { ServiceImpl } from "@connectrpc/connect";
import { apiKeyTuple, Problem } from "@gatehouse/core";
import { sha256 } from "@gatehouse/kit";
import type { NodeGatewayService } from "@gatehouse/wire";
import { awaitConfirmation } from "../../enrollment/await-confirmation.ts";
import { registerNode } from "../../enrollment/register-node.ts";
import { splitSealed } from "../../enrollment/split-sealed.ts";
import { retireNode } from "../../nodes/retire-node.ts";
import { API_KEY_TTL_MS } from "../../orgs/api-key.ts";
import type { ServerContext } from "../../server-context.ts";
import { freshKey } from "../../sessions/complete-handshake.ts";
import { nodeCaller } from "../caller.ts";
import { nextChange } from "../next-change.ts";
import { toEnrollmentState } from "./describe-enrollment.ts";
import { fetchBundle } from "./fetch-bundle.ts";
import { handshakeMethods } from "./handshake-methods.ts";
import { pastMethods } from "./past-methods.ts";
import { sessionMethods } from "./session-methods.ts";
import { uploadMethods } from "./upload-methods.ts";

/** What nodes call to enroll and to open their session. */
export function gatewayService(server: ServerContext): ServiceImpl<typeof NodeGatewayService> {
  const { store, keys, bus, clock, random, origin, budgets } = server;
  const now = () => clock.now();
  const { macKey, keySet, identityKey: serverIdentityKey } = keys;
  const own = { store, random, now, origin, macKey, keySet, serverIdentityKey };
  return {
    ...handshakeMethods(server),
    ...sessionMethods(server),
    ...uploadMethods(server),
    ...pastMethods(server),
    register: async (request) => {
      const { identityPublicKey: identityKey, encryptionPublicKey: encryptionKey, caPublicKey: caKey } = request;
      const input = { ...request, identityKey, encryptionKey, caKey };
      const done = await registerNode(input, { ...own, epoch: keys.keySet.epoch });
      return { ...done, confirmExpiresAt: BigInt(done.confirmExpiresAt) };
    },
    awaitConfirmation: async function* ({ enrollmentId, signedAt, signature, takesPieces }, { signal }) {
      const changes = nextChange(bus, (message) => message.kind === "enrollment" && message.id === enrollmentId);
      const input = { enrollmentId, signature, signedAt: Number(signedAt) };
      for await (const { state, sealed } of awaitConfirmation(
        input,
        { ...own, nextChange: (_, ends) => changes(ends) },
        signal,
      )) {
        for (const piece of splitSealed(sealed ?? "", takesPieces)) yield { state: toEnrollmentState(state), ...piece };
      }
    },
    rotateApiKey: async (_, context) => {
      const { orgId, nodeId } = nodeCaller(context);
      budgets.sessions.check({ orgId, nodeId });
      const issuedAt = now();
      const sealedApiKey = await store.inOrg(orgId, async (tx) => {
        const node = await tx.nodes.lock(nodeId);
        if (node === undefined) throw new Problem("auth.refused");
        await tx.audit.append({ kind: "node.api_key_issued", actor: `node:${node.name}`, node: nodeId });
        return (await freshKey(tx, { node, aad: sha256(apiKeyTuple(nodeId, issuedAt)) }, random)).sealed;
      });
      budgets.sessions.spend({ orgId, nodeId });
      return { sealedApiKey, issuedAt: BigInt(issuedAt), expiresAt: BigInt(issuedAt + API_KEY_TTL_MS) };
    },
    fetchBundle: fetchBundle(server),
    leave: async (_, context) => {
      const { orgId, nodeId } = nodeCaller(context);
      await store.inOrg(orgId, (tx) => retireNode(tx, { nodeId, actor: `node:${nodeId}`, reason: "left" }));
      bus.publish({ kind: "session", orgId, nodeId });
      return {};
    },
  };
}
