import type { ServiceImpl } from "@connectrpc/connect";
import { Problem } from "@gatehouse/core";
import { readRosterDocument } from "@gatehouse/kit";
import type { NodeGatewayService, PastRevocations, Revocation } from "@gatehouse/wire";
import { takePast } from "../../backup/take-past.ts";
import type { ServerContext } from "../../server-context.ts";
import { nodeCaller } from "../caller.ts";
import { toSafeNumber } from "./safe-number.ts";
import { tellNodes } from "./tell-nodes.ts";

/** What nodes know that a server which was put back does not. */
export function pastMethods({ store, keys, bus }: ServerContext) {
  return {
    tellPast: async ({ revocations, rosterVersion, roster }, context) => {
      const { orgId, nodeId } = nodeCaller(context);
      const told = {
        revocations: revocations.map(readPast),
        rosterVersion: toSafeNumber(rosterVersion),
        roster: roster === "" ? undefined : readRosterDocument(readJson(roster)),
      };
      const leakedEpoch = Number((await store.fact("leaked_epoch")) ?? 0);
      const court = { orgId, nodeId, serverIdentityKey: keys.identityKey, epoch: keys.keySet.epoch, leakedEpoch };
      const { wantsRoster, changed, ended } = await store.inOrg(orgId, (tx) => takePast(tx, told, court));
      tellNodes(bus, orgId, changed);
      for (const one of ended) bus.publish({ kind: "session", orgId, nodeId: one });
      bus.publish({ kind: "events", orgId });
      return { wantsRoster };
    },
  } satisfies Partial<ServiceImpl<typeof NodeGatewayService>>;
}

function readPast({ keySet, revocations }: PastRevocations) {
  return { keySet: readJson(keySet), revocations: revocations.map(readRevocation) };
}

function readRevocation({ epoch, generation, ids, keyId, signature }: Revocation) {
  return { epoch: toSafeNumber(epoch), generation: toSafeNumber(generation), ids, keyId, signature };
}

function readJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new Problem("api.malformed", { detail: "A document is no JSON.", cause });
  }
}
