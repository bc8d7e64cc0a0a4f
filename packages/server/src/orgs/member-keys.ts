import { Problem, type Random } from "@gatehouse/core";
import { type EndTransaction, withdrawCommands } from "../commands/end-command.ts";
import { API_KEY_TTL_MS, issueApiKey } from "./api-key.ts";
import type { OperatorCaller } from "./authenticate-operator.ts";
import type { MemberTransaction } from "./change-members.ts";
import type { ApiKey, Role } from "./org-records.ts";
import { isAtLeast, lesserRole, mayDo } from "./roles.ts";

export interface CreateKeyInput {
  readonly caller: OperatorCaller;
  readonly label: string;
  readonly role: Role;
  /** 0: the default. */
  readonly ttlMs: number;
  /** Empty: the caller. */
  readonly member: string;
}

const MIN_TTL_MS = 60_000;
const MAX_TTL_MS = 366 * 86_400_000;
/** Good at a time: nobody fills the database with keys. */
const MAX_OF_MEMBER = 1_000;

/**
 * Makes a key that does at most what the caller may, for at most as long as the caller's own key or session lives: who
 * has a key for an hour has no more than that hour. With `member:manage` it may live longer, and be another member's.
 * Fails with `auth.forbidden`, `members.not_found`, `api.malformed`, `api.too_many`.
 */
export async function createMemberKey(tx: MemberTransaction, input: CreateKeyInput, random: Random) {
  const { caller, label, role, ttlMs } = input;
  const name = input.member === "" ? caller.member : input.member;
  if (!isAtLeast(caller.role, role)) throw new Problem("auth.forbidden");
  if (name !== caller.member && !mayDo(caller.role, "member:manage")) throw new Problem("auth.forbidden");
  const named = await tx.members.findByName(name);
  // Locked: two calls at once must not both find the last place.
  const member = named && (await tx.members.lock(named.id));
  if (member === undefined) throw new Problem("members.not_found");
  if ((await tx.apiKeys.countOfMember(member.id)) >= MAX_OF_MEMBER) {
    throw new Problem("api.too_many", { detail: `${name} has ${MAX_OF_MEMBER} keys that are good.` });
  }
  const { text, stored } = issueApiKey("gha", tx.now(), random);
  const expiresAt = chooseEnd(tx.now(), { ttlMs, caller });
  await tx.apiKeys.insert({ ...stored, memberId: member.id, nodeId: undefined, label, role, expiresAt });
  const data = { key: stored.prefix, member: name, role };
  await tx.audit.append({ kind: "api_key.created", actor: `operator:${caller.member}`, data });
  const key: ApiKey = {
    ...stored,
    label,
    role,
    expiresAt,
    memberId: member.id,
    nodeId: undefined,
    createdAt: tx.now(),
    lastUsedAt: undefined,
    revokedAt: undefined,
  };
  return { text, key, member: name };
}

function chooseEnd(nowMs: number, { ttlMs, caller }: Pick<CreateKeyInput, "ttlMs" | "caller">): number {
  if (ttlMs !== 0 && (ttlMs < MIN_TTL_MS || ttlMs > MAX_TTL_MS)) {
    throw new Problem("api.malformed", { detail: "A key lives from one minute to 366 days." });
  }
  const latest = mayDo(caller.role, "member:manage") ? Number.POSITIVE_INFINITY : caller.expiresAt;
  if (ttlMs === 0) return Math.min(nowMs + API_KEY_TTL_MS, latest);
  if (nowMs + ttlMs <= latest) return nowMs + ttlMs;
  throw new Problem("auth.forbidden", { detail: "It would outlive what you are known by; an owner may make it." });
}

/**
 * Ends a member's key: one's own that does no more than the caller may, or with `member:manage` anybody's. What was
 * commanded by it is not sent any more. Fails with `keys.not_found`, `auth.forbidden`.
 */
export async function revokeMemberKey(
  tx: MemberTransaction,
  { caller, id }: { readonly caller: OperatorCaller; readonly id: string },
): Promise<void> {
  const key = await tx.apiKeys.find(id);
  const isReachable = key?.memberId === caller.memberId || mayDo(caller.role, "member:manage");
  const owner = key?.memberId === undefined ? undefined : await tx.members.find(key.memberId);
  if (key?.role === undefined || owner === undefined || !isReachable) throw new Problem("keys.not_found");
  if (!isAtLeast(caller.role, lesserRole(key.role, owner.role))) throw new Problem("auth.forbidden");
  if (!(await tx.apiKeys.revoke(id))) throw new Problem("keys.not_found");
  const by = `operator:${caller.member}`;
  // Who ends the key they call with signs out: what they commanded stays ordered. Commands are held before the log, as
  // where one ends by its node's word: in the other order the two would wait for each other.
  if (caller.authority !== `key:${id}`) await withdrawOfKey(tx, { id, member: owner.name, by });
  await tx.audit.append({ kind: "api_key.revoked", actor: by, data: { key: key.prefix } });
}

/** Takes back what was commanded by a key that somebody revoked. */
export async function withdrawOfKey(
  tx: EndTransaction,
  { id, member, by }: { readonly id: string; readonly member: string; readonly by: string },
): Promise<void> {
  const which = { authorities: [`key:${id}`], actor: `operator:${member}` };
  await withdrawCommands(tx, which, { by, why: "key_revoked" });
}
