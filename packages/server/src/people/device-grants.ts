import { base64url, makeUuid, Problem, type Random } from "@gatehouse/core";
import { hmacSha256, sha256 } from "@gatehouse/kit";
import type { AuditTrail } from "../audit/audit-trail.ts";
import { networkOf } from "../limits/network-of.ts";
import { issueApiKey } from "../orgs/api-key.ts";
import type { ApiKeyRecords, MemberRecords } from "../orgs/org-records.ts";
import { lesserRole } from "../orgs/roles.ts";
import type { SessionCaller } from "./authenticate-session.ts";
import type { DeviceGrant, DeviceGrantRecords } from "./people-records.ts";

export interface DeviceGrantTransaction {
  readonly now: () => number;
  readonly audit: AuditTrail;
  readonly members: MemberRecords;
  readonly apiKeys: ApiKeyRecords;
  readonly deviceGrants: DeviceGrantRecords;
}

export interface DeviceGrantDeps {
  readonly random: Random;
  readonly macKey: Uint8Array;
}

const DEVICE_GRANT_TTL_MS = 600_000;
const DEVICE_KEY_TTL_MS = 12 * 3_600_000;
const FIRST_INTERVAL_MS = 5_000;
/** RFC 8628 §3.5. */
const SLOW_DOWN_BY_MS = 5_000;
/** Of one organisation, waiting at once; and of them from one network, so that nobody has all places for themselves. */
const MAX_WAITING = 1_024;
const MAX_WAITING_OF_NETWORK = 16;
/** Without vowels no word comes out, and no two look alike (RFC 8628 §6.1). */
const LETTERS = "BCDFGHJKLMNPQRSTVWXZ";
const USER_CODE_LETTERS = 8;
const DOMAIN = new TextEncoder().encode("gatehouse/user-code/");

/** A machine that asks. */
export interface AskingMachine {
  readonly machine: string;
  readonly address: string;
}

/** Begins a grant (RFC 8628 §3.1). Fails with `auth.slow_down` when too many wait. */
export async function beginDeviceGrant(
  tx: DeviceGrantTransaction,
  { machine, address }: AskingMachine,
  { random, macKey }: DeviceGrantDeps,
) {
  requireRoom(await tx.deviceGrants.addresses(), networkOf(address));
  const deviceCode = base64url(random.bytes(32));
  const userCode = makeUserCode(random);
  const userCodeMac = macOf(userCode, macKey);
  if ((await tx.deviceGrants.findByUserCode(userCodeMac)) !== undefined) throw new Problem("auth.slow_down");
  const id = makeUuid(tx.now(), random);
  const times = { expiresAt: tx.now() + DEVICE_GRANT_TTL_MS, intervalMs: FIRST_INTERVAL_MS };
  await tx.deviceGrants.insert({ id, deviceSha256: sha256(deviceCode), userCodeMac, machine, address, ...times });
  await tx.audit.append({ kind: "login.asked", actor: "server", data: { login: id, machine, address } });
  return { deviceCode, userCode, ...times };
}

function requireRoom(waiting: readonly string[], network: string): void {
  const near = waiting.filter((address) => networkOf(address) === network);
  if (waiting.length >= MAX_WAITING || near.length >= MAX_WAITING_OF_NETWORK) throw new Problem("auth.slow_down");
}

/** What waits under a code that a person typed; `undefined`: nothing does. */
export async function findDeviceGrant(
  tx: Pick<DeviceGrantTransaction, "deviceGrants">,
  typed: string,
  macKey: Uint8Array,
): Promise<DeviceGrant | undefined> {
  const grant = await tx.deviceGrants.findByUserCode(macOf(normaliseUserCode(typed), macKey));
  return grant?.decision === "pending" ? grant : undefined;
}

/** Lets a machine act as the member who is signed in, or refuses it. False when it no longer waits. */
export async function decideDeviceGrant(
  tx: DeviceGrantTransaction,
  { caller, grant, isApproved }: { caller: SessionCaller; grant: DeviceGrant; isApproved: boolean },
): Promise<boolean> {
  const { memberId, role, member } = caller;
  if (!(await tx.deviceGrants.decide(grant.id, isApproved ? { memberId, role } : "denied"))) return false;
  const { id, machine, address } = grant;
  const kind = isApproved ? "login.approved" : "login.denied";
  await tx.audit.append({ kind, actor: `operator:${member}`, data: { login: id, machine, address } });
  return true;
}

/** Errors of the token endpoint (RFC 8628 §3.5). */
export type DeviceGrantError = "authorization_pending" | "slow_down" | "access_denied" | "expired_token";

export type Redeemed =
  | { readonly apiKey: string; readonly member: string; readonly expiresAt: number }
  | { readonly error: DeviceGrantError };

/** Answers a poll: once, with a key of the member who approved. */
export async function redeemDeviceGrant(
  tx: DeviceGrantTransaction,
  deviceCode: string,
  random: Random,
): Promise<Redeemed> {
  const grant = await tx.deviceGrants.findByDevice(sha256(deviceCode));
  if (grant === undefined) return { error: "expired_token" };
  const { id, decision, intervalMs, polledAt } = grant;
  if (polledAt !== undefined && tx.now() - polledAt < intervalMs) {
    await tx.deviceGrants.polled(id, intervalMs + SLOW_DOWN_BY_MS);
    return { error: "slow_down" };
  }
  if (decision === "pending") {
    await tx.deviceGrants.polled(id, intervalMs);
    return { error: "authorization_pending" };
  }
  if (!(await tx.deviceGrants.take(id))) return { error: "expired_token" };
  const member = decision === "denied" ? undefined : await tx.members.find(decision.memberId);
  if (decision === "denied" || member === undefined) return { error: "access_denied" };
  const { text, stored } = issueApiKey("gha", tx.now(), random);
  const expiresAt = tx.now() + DEVICE_KEY_TTL_MS;
  const role = lesserRole(decision.role, member.role);
  await tx.apiKeys.insert({ ...stored, memberId: member.id, nodeId: undefined, label: "login", role, expiresAt });
  const data = { key: stored.prefix, member: member.name, role, login: id };
  await tx.audit.append({ kind: "api_key.created", actor: `operator:${member.name}`, data });
  return { apiKey: text, member: member.name, expiresAt };
}

/** As it is shown: `BCDF-GHJK`. */
function makeUserCode(random: Random): string {
  let code = "";
  while (code.length < USER_CODE_LETTERS) {
    for (const byte of random.bytes(USER_CODE_LETTERS)) {
      // The first 240 values are twelve times the alphabet: no letter is likelier than another.
      if (byte < 240 && code.length < USER_CODE_LETTERS) code += LETTERS[byte % LETTERS.length];
    }
  }
  return `${code.slice(0, 4)}-${code.slice(4)}`;
}

function normaliseUserCode(typed: string): string {
  const letters = typed.toUpperCase().replace(/[^A-Z]/g, "");
  return `${letters.slice(0, 4)}-${letters.slice(4)}`;
}

/** Eight letters could be guessed from a plain hash. */
function macOf(userCode: string, macKey: Uint8Array): Uint8Array {
  return hmacSha256(macKey, DOMAIN, new TextEncoder().encode(userCode));
}
