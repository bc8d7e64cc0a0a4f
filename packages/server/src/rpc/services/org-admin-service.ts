import type { ServiceImpl } from "@connectrpc/connect";
import type { OrgAdminService } from "@gatehouse/wire";
import { adoptRoster } from "../../backup/adopt-roster.ts";
import { createOrg } from "../../orgs/create-org.ts";
import { putRoster } from "../../orgs/put-roster.ts";
import type { ServerContext } from "../../server-context.ts";
import { actorOf, operatorCaller } from "../caller.ts";
import { ROLES } from "./describe-member.ts";
import { memberMethods } from "./member-methods.ts";
import { readRoster, writeRoster } from "./read-roster.ts";
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
        const live = await Promise.all((roster?.nodes ?? []).map(({ nodeId }) => tx.nodes.find(nodeId)));
        const struckNodeIds = (roster?.nodes ?? []).flatMap(({ nodeId }, at) =>
          live[at] === undefined ? [nodeId] : [],
        );
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
        return roster === undefined ? own : { ...own, roster: writeRoster(roster) };
      });
    },
    putRoster: async (request, context) => {
      const caller = operatorCaller(context);
      const { orgId } = caller;
      const input = { actor: actorOf(caller), roster: readRoster(orgId, request.roster) };
      if (request.isPutBack) {
        const { changed, ended } = await store.inOrg(orgId, (tx) => adoptRoster(tx, input));
        tellNodes(bus, orgId, changed);
        for (const nodeId of ended) bus.publish({ kind: "session", orgId, nodeId });
        return {};
      }
      tellNodes(bus, orgId, await store.inOrg(orgId, (tx) => putRoster(tx, input)));
      return {};
    },
  };
}
