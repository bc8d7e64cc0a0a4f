import type { ServiceImpl } from "@connectrpc/connect";
import { Problem } from "@gatehouse/core";
import { readRosterMessage } from "@gatehouse/kit";
import type { NodeAdminService } from "@gatehouse/wire";
import { confirmNode } from "../../enrollment/confirm-node.ts";
import { createCode, createReplacementCode, DEFAULT_CLAIM_TTL_MS } from "../../enrollment/create-code.ts";
import { cancelEnrollment } from "../../enrollment/end-enrollment.ts";
import { nextPageToken, readPage } from "../../page.ts";
import type { ServerContext } from "../../server-context.ts";
import { actorOf, operatorCaller } from "../caller.ts";
import { describeEnrollment } from "./describe-enrollment.ts";
import { describeNode } from "./describe-node.ts";

const DEFAULT_PAGE = 1_000;

/** How hosts become nodes, as operators see it. */
export function enrollmentMethods(server: ServerContext) {
  const { store, keys, bus, random, clock } = server;
  const codeDeps = { serverIdentityKey: keys.identityKey, random };
  return {
    createEnrollmentCode: async ({ name, labels, claimTtlMs }, context) => {
      const caller = operatorCaller(context);
      const ttl = claimTtlMs === 0n ? DEFAULT_CLAIM_TTL_MS : Number(claimTtlMs);
      const input = { actor: actorOf(caller), name: name === "" ? undefined : name, labels, claimTtlMs: ttl };
      const made = await store.inOrg(caller.orgId, (tx) => createCode(tx, input, codeDeps));
      return { ...made, expiresAt: BigInt(made.expiresAt) };
    },
    replaceNode: async ({ nodeId, claimTtlMs }, context) => {
      const caller = operatorCaller(context);
      const ttl = claimTtlMs === 0n ? DEFAULT_CLAIM_TTL_MS : Number(claimTtlMs);
      const input = { actor: actorOf(caller), nodeId, claimTtlMs: ttl };
      const made = await store.inOrg(caller.orgId, (tx) => createReplacementCode(tx, input, codeDeps));
      return { ...made, expiresAt: BigInt(made.expiresAt) };
    },
    listEnrollmentCodes: async (asked, context) => {
      const page = readPage(asked, DEFAULT_PAGE);
      const open = await store.inOrg(operatorCaller(context).orgId, (tx) => tx.enrollments.listOpen(page));
      return { enrollments: open.map(describeEnrollment), nextPageToken: nextPageToken(open, page, ({ id }) => id) };
    },
    cancelEnrollment: async ({ enrollmentId }, context) => {
      const caller = operatorCaller(context);
      const { orgId } = caller;
      await store.inOrg(orgId, (tx) => cancelEnrollment(tx, { id: enrollmentId, actor: actorOf(caller) }));
      bus.publish({ kind: "enrollment", orgId, id: enrollmentId });
      return {};
    },
    confirmNode: async ({ nodeId, enrollmentId, fingerprint, roster }, context) => {
      const caller = operatorCaller(context);
      const { orgId } = caller;
      const input = {
        actor: actorOf(caller),
        nodeId,
        enrollmentId,
        fingerprint,
        roster: readRosterMessage(orgId, roster),
      };
      const done = await store.inOrg(orgId, (tx) => confirmNode(tx, input, { keys, random }));
      if (done.kind === "wrong_fingerprint") throw new Problem("enroll.wrong_fingerprint");
      bus.publish({ kind: "enrollment", orgId, id: enrollmentId });
      if (done.replaced !== undefined) bus.publish({ kind: "session", orgId, nodeId: done.replaced });
      return { node: describeNode(done.node, clock.now()) };
    },
  } satisfies Partial<ServiceImpl<typeof NodeAdminService>>;
}
