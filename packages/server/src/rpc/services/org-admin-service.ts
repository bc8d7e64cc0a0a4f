import type { ServiceImpl } from "@connectrpc/connect";
import { readRosterMessage, writeRosterMessage } from "@gatehouse/kit";
import type { OrgAdminService } from "@gatehouse/wire";
import { adoptRoster } from "../../backup/adopt-roster.ts";
import { createOrg } from "../../orgs/create-org.ts";
import { putRoster } from "../../orgs/put-roster.ts";
import type { ServerContext } from "../../server-context.ts";
import { actorOf, operatorCaller } from "../caller.ts";
import { ROLES } from "./describe-member.ts";
import { memberMethods } from "./member-methods.ts";
import { tellNodes } from "./tell-nodes.ts";

/** The organisation and its roster. */
export function orgAdminService(server: ServerContext): ServiceImpl<typeof OrgAdminService> {
  const { store, keys, clock, random, bus } = server;
  const serverIdentityKey = keys.identityKey;
  return {
    ...memberMethods(server),
    createOrg: (request) => createOrg(request, { store, random, serverIdentityKey, now: () => clock.now() }),
    getOrg: async (_, context) => {
      const { orgId, member, role } = operatorCaller(context);
      return store.inOrg(orgId, async (tx) => {
        const { name, orgKey, orgEncryptionKey } = await tx.org.get();
        const roster = await tx.roster.newest();
        const listed = (roster?.nodes ?? []).map(({ nodeId }) => nodeId);
        const live = new Set((await tx.nodes.findAll(listed)).map(({ id }) => id));
        const struckNodeIds = listed.filter((id) => !live.has(id));
        const own = {
          orgId,
          name,
          orgKey,
          orgEncryptionKey,
          serverIdentityKey,
          member,
          role: ROLES[role],
          struckNodeIds,
        };
        return roster === undefined ? own : { ...own, roster: writeRosterMessage(roster) };
      });
    },
    putRoster: async (request, context) => {
      const caller = operatorCaller(context);
      const { orgId } = caller;
      const input = { actor: actorOf(caller), roster: readRosterMessage(orgId, request.roster) };
      const put = request.isPutBack ? adoptRoster : putRoster;
      const { changed, ended } = await store.inOrg(orgId, (tx) => put(tx, input));
      tellNodes(bus, orgId, changed);
      for (const nodeId of ended) bus.publish({ kind: "session", orgId, nodeId });
      return {};
    },
  };
}
