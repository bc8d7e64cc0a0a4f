import type { ServiceImpl } from "@connectrpc/connect";
import type { NodeAdminService } from "@gatehouse/wire";
import { findNode } from "../../nodes/find-node.ts";
import { retireNode } from "../../nodes/retire-node.ts";
import { nextPageToken, readPage } from "../../page.ts";
import type { ServerContext } from "../../server-context.ts";
import { actorOf, operatorCaller } from "../caller.ts";
import { commandMethods } from "./command-methods.ts";
import { describeNode, describeWitnessed, toNodeState } from "./describe-node.ts";
import { enrollmentMethods } from "./enrollment-methods.ts";
import { placementMethods } from "./placement-methods.ts";
import { reportMethods } from "./report-methods.ts";

const DEFAULT_PAGE = 250;

/** Nodes, as operators administer them. */
export function nodeAdminService(server: ServerContext): ServiceImpl<typeof NodeAdminService> {
  const { store, bus, clock } = server;
  return {
    ...enrollmentMethods(server),
    ...reportMethods(server),
    ...commandMethods(server),
    ...placementMethods(server),
    listNodes: async ({ nameContains, labels, state, ...asked }, context) => {
      const page = readPage(asked, DEFAULT_PAGE);
      const filter = {
        ...page,
        labels,
        state: toNodeState(state),
        nameContains: nameContains === "" ? undefined : nameContains,
      };
      const nodes = await store.inOrg(operatorCaller(context).orgId, (tx) => tx.nodes.list(filter));
      const listed = nodes.map((node) => describeNode(node, clock.now()));
      return { nodes: listed, nextPageToken: nextPageToken(nodes, page, ({ name }) => name) };
    },
    getNode: async ({ node: asked }, context) =>
      store.inOrg(operatorCaller(context).orgId, async (tx) => {
        const node = await findNode(tx, asked);
        const enrollment = await tx.enrollments.findByNode(node.id);
        const { identityKey, encryptionKey, caKey } = node;
        const waiting = enrollment?.state === "awaiting_confirmation" ? enrollment : undefined;
        return {
          node: describeNode(node, clock.now()),
          identityKey,
          encryptionKey,
          caKey,
          enrollmentId: waiting?.id ?? "",
          codeSha256: enrollment?.codeSha256 ?? new Uint8Array(),
          replacesNodeId: waiting?.replacesNodeId ?? "",
          ...(await describeWitnessed(tx, node.id)),
        };
      }),
    revokeNode: async ({ nodeId }, context) => {
      const caller = operatorCaller(context);
      const { orgId } = caller;
      const input = { nodeId, actor: actorOf(caller), reason: "revoked" } as const;
      const rotationPending = await store.inOrg(orgId, (tx) => retireNode(tx, input));
      bus.publish({ kind: "session", orgId, nodeId });
      return { rotationPending: [...rotationPending] };
    },
    rotateNodeApiKey: async ({ nodeId }, context) => {
      const caller = operatorCaller(context);
      const { orgId } = caller;
      await store.inOrg(orgId, async (tx) => {
        const node = await findNode(tx, nodeId);
        await tx.apiKeys.expireOfNode(node.id);
        await tx.sessions.remove(node.id);
        await tx.audit.append({ kind: "node.api_key_expired", actor: actorOf(caller), node: node.id });
      });
      bus.publish({ kind: "session", orgId, nodeId });
      return {};
    },
  };
}
