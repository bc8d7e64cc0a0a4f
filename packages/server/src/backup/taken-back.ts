import { Problem } from "@gatehouse/core";
import { openLogSource, verifyLog } from "@gatehouse/kit";
import { withdrawCommands } from "../commands/end-command.ts";
import { retireNode } from "../nodes/retire-node.ts";
import { removeMember, setMemberRole } from "../orgs/change-members.ts";
import { withdrawOfKey } from "../orgs/member-keys.ts";
import type { ApiKey, Role } from "../orgs/org-records.ts";
import { isAtLeast } from "../orgs/roles.ts";
import type { OrgTransaction } from "../store/org-transaction.ts";
import { revokeAgain } from "./past-revocations.ts";

/** What an organisation's exported log says was taken back, whenever that was. */
export interface TakenBack {
  readonly orgId: string;
  /** By id. */
  readonly nodes: ReadonlySet<string>;
  readonly credentials: ReadonlySet<string>;
  /** By the part of a key that names it. */
  readonly apiKeys: ReadonlySet<string>;
  readonly members: readonly MemberEntry[];
  /** Ways to sign in that ended. */
  readonly signIns: readonly SignInEntry[];
  /** By id. */
  readonly commands: ReadonlyMap<string, CommandEntry>;
}

/** The last entry that says of a command that it was taken back. */
interface CommandEntry {
  readonly seq: number;
  /** Its node had it then, and may have done it. */
  readonly wasSent: boolean;
}

/** A password that was replaced or reset; with an issuer, who a member was at a provider. */
interface SignInEntry {
  readonly seq: number;
  readonly name: string;
  readonly issuer: string | undefined;
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

const ROLES: ReadonlySet<string> = new Set(["viewer", "operator", "admin", "owner"] satisfies readonly Role[]);

class Reading implements TakenBack {
  readonly orgId: string;
  readonly nodes = new Set<string>();
  readonly credentials = new Set<string>();
  readonly apiKeys = new Set<string>();
  readonly members: MemberEntry[] = [];
  readonly signIns: SignInEntry[] = [];
  readonly commands = new Map<string, CommandEntry>();

  constructor(orgId: string) {
    this.orgId = orgId;
  }

  note({ seq = 0, kind = "", node, data = {} }: Entry): void {
    const name = String(data.member);
    switch (kind) {
      case "node.revoked":
      case "node.replaced":
      case "node.left":
        this.nodes.add(String(node));
        return;
      case "credential.revoked":
        this.credentials.add(String(data.credential));
        return;
      case "command.withdrawn":
        this.commands.set(String(data.command), { seq, wasSent: data.state === "outcome_unknown" });
        return;
      case "api_key.revoked":
        this.apiKeys.add(String(data.key));
        return;
      case "member.removed":
        this.members.push({ seq, name, role: undefined });
        return;
      case "member.role_changed":
        if (ROLES.has(String(data.role))) this.members.push({ seq, name, role: data.role as Role });
        return;
      case "password.changed":
      case "password.chosen":
      case "password.reset":
        this.signIns.push({ seq, name, issuer: undefined });
        return;
      case "identity.unlinked":
        this.signIns.push({ seq, name, issuer: String(data.issuer) });
        return;
      default:
        return; // heads, and what gives rather than takes
    }
  }
}

/** Reads an export that the server's own audit key signed, as a whole. Fails with `audit.tampered`, `audit.not_found`. */
export async function readTakenBack(file: string, auditKey: Uint8Array): Promise<TakenBack> {
  const source = await openLogSource(file);
  const { log } = await verifyLog(source, { pinned: auditKey });
  const reading = new Reading(log);
  for await (const part of source.read()) {
    for (const line of "lines" in part ? part.lines : []) reading.note(JSON.parse(line) as Entry);
  }
  return reading;
}

/**
 * Takes back again what was taken back after a backup was made: nodes, credentials, keys of members, commands, members,
 * what they might do, and how they signed in: a password that was replaced since opens nothing, its member needs a
 * link. Nothing is given to anybody. `size` is how many entries the log had that was put back: what became of a member
 * or a command before is part of it. The last owner stays, on record: without one nobody could go on.
 */
export async function takeBackAgain(tx: OrgTransaction, back: TakenBack, size: number): Promise<void> {
  // First: of what a key or a node takes with it nothing is known here but that it was never sent.
  for (const wereSent of [false, true]) {
    const since = [...back.commands].filter(([, { seq, wasSent }]) => seq >= size && wasSent === wereSent);
    const commandIds = since.map(([id]) => id);
    await withdrawCommands(tx, { commandIds, wereSent }, { by: "server", why: "taken_back" });
  }
  for (const nodeId of back.nodes) await endNode(tx, nodeId);
  await revokeAgain(tx, (id) => back.credentials.has(id));
  for (const key of await tx.apiKeys.listOfMembers()) if (back.apiKeys.has(key.prefix)) await endKey(tx, key);
  for (const change of back.members) if (change.seq >= size) await lessen(tx, change);
  for (const ended of back.signIns) if (ended.seq >= size) await endSignIn(tx, ended);
}

async function endSignIn(tx: OrgTransaction, { name, issuer }: SignInEntry): Promise<void> {
  const member = await tx.members.findByName(name);
  if (member === undefined) return;
  if (issuer === undefined) return tx.passwords.remove(member.id);
  await tx.identities.removeOfMember(member.id, issuer);
}

async function endNode(tx: OrgTransaction, nodeId: string): Promise<void> {
  if ((await tx.nodes.find(nodeId)) === undefined) return;
  await retireNode(tx, { nodeId, actor: "server", reason: "revoked" });
}

async function endKey(tx: OrgTransaction, { id, prefix, memberId = "" }: ApiKey): Promise<void> {
  if (!(await tx.apiKeys.revoke(id))) return;
  await tx.audit.append({ kind: "api_key.revoked", actor: "server", data: { key: prefix } });
  const member = await tx.members.find(memberId);
  if (member !== undefined) await withdrawOfKey(tx, { id, member: member.name, by: "server" });
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
