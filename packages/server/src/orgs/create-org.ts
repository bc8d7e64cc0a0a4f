import { makeUuid, newOrgTuple, Problem, parseCode, type Random } from "@gatehouse/core";
import { isSealingKey, orgPin, sha256, verifySignature } from "@gatehouse/kit";
import type { AuditTrail } from "../audit/audit-trail.ts";
import { API_KEY_TTL_MS, issueApiKey } from "./api-key.ts";
import type { ApiKeyRecords, MemberRecords, OrgRecords } from "./org-records.ts";

export interface CreateOrgInput {
  readonly setupCode: string;
  readonly name: string;
  readonly owner: string;
  readonly orgKey: Uint8Array;
  readonly orgEncryptionKey: Uint8Array;
  /** By the org key. */
  readonly proof: Uint8Array;
}

/** What making an organisation needs of the store. */
export interface CreateOrgStore {
  findSetupCode(secretSha256: Uint8Array): Promise<{ readonly orgId: string | undefined } | undefined>;
  findOrg(kind: "org_name", sha256: Uint8Array): Promise<string | undefined>;
  inOrg<T>(orgId: string, work: (tx: CreateOrgTransaction) => Promise<T>): Promise<T>;
}

export interface CreateOrgTransaction {
  readonly now: () => number;
  readonly audit: AuditTrail;
  readonly org: OrgRecords;
  readonly members: MemberRecords;
  readonly apiKeys: ApiKeyRecords;
  addLookup(kind: "pin", sha256: Uint8Array): Promise<void>;
  /** Fails with `org.setup_code_spent` when another organisation took it meanwhile. */
  spendSetupCode(secretSha256: Uint8Array): Promise<void>;
}

export interface CreateOrgDeps {
  readonly store: CreateOrgStore;
  readonly serverIdentityKey: Uint8Array;
  readonly random: Random;
  readonly now: () => number;
}

/**
 * Makes an organisation, its owner and the owner's API key, and spends the set-up code, in one transaction. While the
 * owner's key was never used, the same code, names and keys get a fresh one: a lost answer costs nothing. Fails with
 * `org.setup_code_spent` for every code that cannot be used, `org.name_taken`, `enroll.bad_proof`.
 */
export async function createOrg(
  input: CreateOrgInput,
  deps: CreateOrgDeps,
): Promise<{ orgId: string; apiKey: string }> {
  const { store, random, now } = deps;
  const { secret } = parseCode("ghs", input.setupCode);
  const codeSha256 = sha256(secret);
  const code = await store.findSetupCode(codeSha256);
  if (code === undefined) throw new Problem("org.setup_code_spent");
  const tuple = newOrgTuple({ ...input, serverIdentityKey: deps.serverIdentityKey, codeSha256 });
  if (!verifySignature(input.orgKey, tuple, input.proof)) throw new Problem("enroll.bad_proof");
  if (!isSealingKey(input.orgEncryptionKey)) throw new Problem("enroll.bad_proof");
  const made = { ...input, createdBySha256: sha256(tuple) };
  if (code.orgId !== undefined) return store.inOrg(code.orgId, (tx) => repeat(tx, made, deps));
  if ((await store.findOrg("org_name", sha256(input.name))) !== undefined) throw new Problem("org.name_taken");
  const orgId = makeUuid(now(), random);
  return store.inOrg(orgId, async (tx) => {
    await tx.spendSetupCode(codeSha256);
    await tx.org.insert({ id: orgId, ...made });
    await tx.addLookup("pin", sha256(orgPin(deps.serverIdentityKey, orgId, input.orgKey)));
    const memberId = makeUuid(now(), random);
    await tx.members.insert({ id: memberId, name: input.owner, role: "owner" });
    await tx.audit.append({ kind: "org.created", actor: `operator:${input.owner}`, data: { name: input.name } });
    return { orgId, apiKey: await issueOwnerKey(tx, memberId, random) };
  });
}

async function repeat(
  tx: CreateOrgTransaction,
  made: { owner: string; createdBySha256: Uint8Array },
  deps: CreateOrgDeps,
) {
  const org = await tx.org.get();
  const owner = await tx.members.findByName(made.owner);
  const keys = await tx.apiKeys.listOfMembers();
  const isSame = Buffer.compare(org.createdBySha256, made.createdBySha256) === 0;
  const wasUsed = keys.some(({ lastUsedAt }) => lastUsedAt !== undefined);
  if (!isSame || owner === undefined || wasUsed) throw new Problem("org.setup_code_spent");
  for (const { id } of keys) await tx.apiKeys.revoke(id);
  return { orgId: org.id, apiKey: await issueOwnerKey(tx, owner.id, deps.random) };
}

async function issueOwnerKey(tx: CreateOrgTransaction, memberId: string, random: Random): Promise<string> {
  const { text, stored } = issueApiKey("gha", tx.now(), random);
  const expiresAt = tx.now() + API_KEY_TTL_MS;
  await tx.apiKeys.insert({ ...stored, memberId, nodeId: undefined, label: "owner", role: "owner", expiresAt });
  return text;
}
