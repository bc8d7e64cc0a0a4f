import { Problem } from "@gatehouse/core";
import { openLogSource, verifyLog } from "@gatehouse/kit";
import { revokeCredential } from "../credentials/revoke-credential.ts";
import { retireNode } from "../nodes/retire-node.ts";
import { removeMember, setMemberRole } from "../orgs/change-members.ts";
import type { Role } from "../orgs/org-records.ts";
import { isAtLeast } from "../orgs/roles.ts";
import type { OrgTransaction } from "../store/org-transaction.ts";

/** What an organisation's exported log says was taken back, whenever that was. */
export interface TakenBack {
  readonly orgId: string;
  /** By id. */
  readonly nodes: ReadonlySet<string>;
  readonly credentials: ReadonlySet<string>;
  /** By the part of a key that names it. */
  readonly apiKeys: ReadonlySet<string>;
  readonly members: readonly MemberEntry[];
}

/** What became of a member at an entry of the log; a name may be somebody else's before and after. */
interface MemberEntry {
  readonly seq: number;
  readonly name: string;
  /** `undefined`: they were removed. */
  readonly role: Role | undefined;
}

/** An entry of the log, as far as it is read here. */
interface Entry {
  readonly seq?: number;
  readonly kind?: string;
  readonly node?: string | null;
  readonly data?: Readonly<Record<string, unknown>>;
}

/** Kinds after which a node is one no more. */
const ENDED: ReadonlySet<string> = new Set(["node.revoked", "node.replaced", "node.left"]);
const ROLES: ReadonlySet<string> = new Set(["viewer", "operator", "admin", "owner"] satisfies readonly Role[]);

/** Reads an export that the server's own audit key signed, as a whole. Fails with `audit.tampered`, `audit.not_found`. */
export async function readTakenBack(file: string, auditKey: Uint8Array): Promise<TakenBack> {
  const source = await openLogSource(file);
  const { log: orgId } = await verifyLog(source, { pinned: auditKey });
  const read = { nodes: new Set<string>(), credentials: new Set<string>(), apiKeys: new Set<string>() };
  const members: MemberEntry[] = [];
  for await (const part of source.read()) {
    for (const line of "lines" in part ? part.lines : []) {
      const { seq = 0, kind = "", node, data = {} } = JSON.parse(line) as Entry;
      if (ENDED.has(kind) && typeof node === "string") read.nodes.add(node);
      if (kind === "credential.revoked") read.credentials.add(String(data.credential));
      if (kind === "api_key.revoked") read.apiKeys.add(String(data.key));
      const name = String(data.member);
      if (kind === "member.removed") members.push({ seq, name, role: undefined });
      if (kind === "member.role_changed" && ROLES.has(String(data.role))) {
        members.push({ seq, name, role: data.role as Role });
      }
    }
  }
  return { orgId, ...read, members };
}

/**
 * Takes back again what was taken back after a backup was made: nodes, credentials, keys of members, members, and what
 * they might do. Nothing is given to anybody. `size` is how many entries the log had that was put back: what became of a
 * member before is part of it. The last owner stays, on record: without one nobody could go on.
 */
export async function takeBackAgain(tx: OrgTransaction, back: TakenBack, size: number): Promise<void> {
  for (const nodeId of back.nodes) {
    if ((await tx.nodes.find(nodeId)) !== undefined)
      await retireNode(tx, { nodeId, actor: "server", reason: "revoked" });
  }
  for (const { id, name } of await tx.credentials.list()) {
    if (back.credentials.has(id)) await revokeCredential(tx, { actor: "server", name });
  }
  for (const { id, prefix } of await tx.apiKeys.listOfMembers()) {
    if (!back.apiKeys.has(prefix) || !(await tx.apiKeys.revoke(id))) continue;
    await tx.audit.append({ kind: "api_key.revoked", actor: "server", data: { key: prefix } });
  }
  for (const change of back.members) if (change.seq >= size) await lessen(tx, change);
}

async function lessen(tx: OrgTransaction, { name, role }: MemberEntry): Promise<void> {
  const member = await tx.members.findByName(name);
  if (member === undefined) return;
  try {
    if (role === undefined) await removeMember(tx, { actor: "server", name });
    else if (!isAtLeast(role, member.role)) await setMemberRole(tx, { actor: "server", name, role });
  } catch (failure) {
    if (!(failure instanceof Problem) || failure.code !== "members.last_owner") throw failure;
    await tx.audit.append({ kind: "member.kept", actor: "server", data: { member: name } });
  }
}
