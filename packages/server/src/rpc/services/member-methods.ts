import type { ServiceImpl } from "@connectrpc/connect";
import { Problem } from "@gatehouse/core";
import type { OrgAdminService } from "@gatehouse/wire";
import { addMember, removeMember, setMemberRole } from "../../orgs/change-members.ts";
import { createMemberKey, revokeMemberKey } from "../../orgs/member-keys.ts";
import { nextPageToken, readPage } from "../../page.ts";
import { endSessions, listSessions } from "../../people/end-sessions.ts";
import { inviteMember } from "../../people/invitations.ts";
import { listPeople } from "../../people/list-people.ts";
import type { ServerContext } from "../../server-context.ts";
import { actorOf, operatorCaller } from "../caller.ts";
import { describeKey, describeMember, describeSession, toRole } from "./describe-member.ts";

const DEFAULT_PAGE = 1_000;

/** The people of an organisation and their keys. */
export function memberMethods({ store, bus, random, hasPasswords }: ServerContext) {
  return {
    listMembers: async (asked, context) => {
      const page = readPage(asked, DEFAULT_PAGE);
      const members = await store.inOrg(operatorCaller(context).orgId, (tx) => listPeople(tx, page));
      return { members: members.map(describeMember), nextPageToken: nextPageToken(members, page, ({ name }) => name) };
    },
    addMember: async ({ name, role, samePerson: isSamePerson }, context) => {
      const caller = operatorCaller(context);
      await store.inOrg(caller.orgId, (tx) =>
        addMember(tx, { actor: actorOf(caller), name, role: toRole(role), isSamePerson }, random),
      );
      return {};
    },
    setMemberRole: async ({ name, role }, context) => {
      const caller = operatorCaller(context);
      await store.inOrg(caller.orgId, (tx) => setMemberRole(tx, { actor: actorOf(caller), name, role: toRole(role) }));
      bus.publish({ kind: "people", orgId: caller.orgId });
      return {};
    },
    removeMember: async ({ name }, context) => {
      const caller = operatorCaller(context);
      await store.inOrg(caller.orgId, (tx) => removeMember(tx, { actor: actorOf(caller), name }));
      bus.publish({ kind: "people", orgId: caller.orgId });
      return {};
    },
    inviteMember: async ({ name, ttlMs, reset: isReset }, context) => {
      if (!hasPasswords) throw new Problem("signin.no_passwords");
      const caller = operatorCaller(context);
      const input = { actor: actorOf(caller), name, ttlMs: Number(ttlMs), isReset };
      const { secret, expiresAt } = await store.inOrg(caller.orgId, (tx) => inviteMember(tx, input, random));
      if (isReset) bus.publish({ kind: "people", orgId: caller.orgId });
      return { code: secret, expiresAt: BigInt(expiresAt) };
    },
    listSessions: async (asked, context) => {
      const page = readPage(asked, DEFAULT_PAGE);
      const caller = operatorCaller(context);
      const sessions = await store.inOrg(caller.orgId, (tx) => listSessions(tx, { caller, name: asked.member }, page));
      return { sessions: sessions.map(describeSession), nextPageToken: nextPageToken(sessions, page, ({ id }) => id) };
    },
    endSessions: async ({ member, sessionId }, context) => {
      const caller = operatorCaller(context);
      const which = sessionId === "" ? { allBut: undefined } : { id: sessionId };
      const ended = await store.inOrg(caller.orgId, (tx) => endSessions(tx, { caller, name: member, which }));
      bus.publish({ kind: "people", orgId: caller.orgId });
      return { ended };
    },
    listApiKeys: async (asked, context) => {
      const page = readPage(asked, DEFAULT_PAGE);
      const caller = operatorCaller(context);
      return store.inOrg(caller.orgId, async (tx) => {
        await tx.audit.append({ kind: "api_keys.listed", actor: actorOf(caller) });
        const members = new Map((await tx.members.list()).map(({ id, name }) => [id, name]));
        const apiKeys = await tx.apiKeys.listOfMembers(page);
        const listed = apiKeys.map((key) => describeKey(key, members.get(key.memberId ?? "") ?? ""));
        return { apiKeys: listed, nextPageToken: nextPageToken(apiKeys, page, ({ id }) => id) };
      });
    },
    createApiKey: async ({ label, role, ttlMs, member }, context) => {
      const caller = operatorCaller(context);
      const input = { caller, label, role: toRole(role), ttlMs: Number(ttlMs), member };
      const made = await store.inOrg(caller.orgId, (tx) => createMemberKey(tx, input, random));
      return { apiKey: made.text, stored: describeKey(made.key, made.member) };
    },
    revokeApiKey: async ({ id }, context) => {
      const caller = operatorCaller(context);
      await store.inOrg(caller.orgId, (tx) => revokeMemberKey(tx, { caller, id }));
      bus.publish({ kind: "people", orgId: caller.orgId });
      return {};
    },
  } satisfies Partial<ServiceImpl<typeof OrgAdminService>>;
}
