import { createClient } from "@connectrpc/connect";
import { constantTimeEqual, Problem, Secret } from "@gatehouse/core";
import {
  openPinnedChannel,
  parseServerUrl,
  type ServerChannel,
  type ServerIdentity,
  toServerProblem,
} from "@gatehouse/kit";
import { OrgAdminService } from "@gatehouse/wire";
import { type Invocation, isSet, textOption } from "../invocation.ts";
import { type AwaitedApproval, loginByDevice } from "../operator/device-login.ts";
import { encryptionPin, type LoginPin, parseLoginPin } from "../operator/login-pin.ts";
import { asOperator } from "../operator/open-operator.ts";
import { OperatorFiles } from "../operator/operator-files.ts";
import { roleName } from "../operator/roles.ts";
import { printJson, printLine, shown } from "../terminal/print.ts";
import { readCode } from "../terminal/read-code.ts";

/**
 * Makes this machine a member's: proves the server by the pin, before anything is sent, then asks for a key that a
 * person allows in a browser, or takes one that was made for them.
 */
export async function login(invocation: Invocation): Promise<number> {
  const origin = parseServerUrl(textOption(invocation, "server") ?? "");
  const pin = parseLoginPin(textOption(invocation, "pin") ?? "");
  const stateDir = invocation.config.state.dir;
  const files = await OperatorFiles.open(stateDir);
  await refuseOther(stateDir, files, origin);
  const { channel, identity } = await openPinnedChannel(origin, pin.org);
  using _ = channel;
  const apiKey = await obtainKey(invocation, channel, pin);
  const own = await whoAmI(channel, apiKey, { identity, pin });
  const known = await files.server();
  if (known !== undefined && known.orgId !== identity.orgId) throw joined(known.org, known.url);
  const { org, member, orgEncryptionKey } = own;
  await files.saveServer({ url: origin, org, owner: member, orgEncryptionKey, ...identity });
  await files.saveApiKey(apiKey);
  const role = roleName(own.role);
  if (isSet(invocation, "json")) {
    printJson({ state: "logged_in", org_id: identity.orgId, org: own.org, member: own.member, role });
  } else printLine(`You are ${shown(own.member)} of ${shown(own.org)}, with the role ${role}.`);
  return 0;
}

/** A machine belongs to one organisation; a key that still works is not thrown away. */
async function refuseOther(stateDir: string, files: OperatorFiles, origin: string): Promise<void> {
  const [server, apiKey] = [await files.server(), await files.apiKey()];
  if (server !== undefined && server.url !== origin) throw joined(server.org, server.url);
  if (server === undefined || apiKey === undefined) return;
  const member = await asOperator(stateDir, async ({ org }) => (await org.getOrg({})).member).catch(ifRefused);
  if (member !== undefined) {
    throw new Problem("org.joined", { detail: `You are ${shown(member)} there; gatehouse logout ends that.` });
  }
}

function ifRefused(failure: unknown): undefined {
  if (failure instanceof Problem && failure.code === "auth.refused") return undefined;
  throw failure;
}

async function obtainKey(invocation: Invocation, channel: ServerChannel, pin: LoginPin): Promise<Secret> {
  const file = textOption(invocation, "apiKeyFile");
  if (file !== undefined) return new Secret(await readCode(file, "API key"));
  const abort = new AbortController();
  const stop = () => abort.abort(new Problem("usage.cancelled", { detail: "Nobody is logged in." }));
  process.once("SIGINT", stop);
  try {
    const show = isSet(invocation, "json") ? showAsJson : showToPerson;
    return await loginByDevice(channel, { pin: pin.org, show, signal: abort.signal });
  } catch (failure) {
    throw abort.signal.aborted ? abort.signal.reason : failure;
  } finally {
    process.off("SIGINT", stop);
  }
}

function showAsJson({ verificationUri, userCode, expiresAt }: AwaitedApproval): void {
  const at = new Date(expiresAt).toISOString();
  printJson({ state: "awaiting_approval", verification_uri: verificationUri, user_code: userCode, expires_at: at });
}

function showToPerson({ verificationUri, userCode, expiresAt }: AwaitedApproval): void {
  printLine(`Open ${shown(verificationUri)} and type: ${shown(userCode)}`);
  printLine(`Waiting until ${new Date(expiresAt).toISOString()} …`);
}

interface Expected {
  readonly identity: ServerIdentity;
  readonly pin: LoginPin;
}

/** Whose key it is. What the server says of the organisation's keys must be what the pins say. */
async function whoAmI(channel: ServerChannel, apiKey: Secret, { identity, pin }: Expected) {
  const client = createClient(OrgAdminService, channel.transport);
  try {
    const { orgId, name, member, role, orgEncryptionKey } = await client.getOrg(
      {},
      { headers: { Authorization: `Bearer ${apiKey.reveal()}` } },
    );
    const isPinned = constantTimeEqual(encryptionPin(orgEncryptionKey), pin.encryption);
    if (orgId !== identity.orgId || !isPinned) {
      throw new Problem("server.untrusted", { detail: "Its organisation's keys are not those of the pin." });
    }
    return { org: name, member, role, orgEncryptionKey };
  } catch (failure) {
    throw toServerProblem(failure);
  }
}

function joined(org: string, url: string): Problem {
  return new Problem("org.joined", { detail: `It is ${org} at ${url}.` });
}
