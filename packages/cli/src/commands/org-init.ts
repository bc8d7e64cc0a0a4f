import { createClient } from "@connectrpc/connect";
import { base64url, newOrgTuple, Problem, parseCode, parseResourceName, Secret } from "@gatehouse/core";
import { openPinnedChannel, parseServerUrl, sha256, toServerProblem } from "@gatehouse/kit";
import { OrgAdminService } from "@gatehouse/wire";
import { type Invocation, isSet, textOption } from "../invocation.ts";
import { inviteTo } from "../operator/invitation-link.ts";
import { asOperator } from "../operator/open-operator.ts";
import { OperatorFiles } from "../operator/operator-files.ts";
import { signRoster } from "../operator/sign-roster.ts";
import { printJson, printLine } from "../terminal/print.ts";
import { readCode } from "../terminal/read-code.ts";

/** A server without passwords, or of an earlier release; an owner who has one. */
const HAS_NO_LINK: ReadonlySet<string> = new Set(["signin.no_passwords", "api.not_supported", "members.has_password"]);

/**
 * Makes an organisation: its keys here, on disk before anything else, then the organisation on the server, then the
 * first roster. Interrupted anywhere, the same command goes on.
 */
export async function orgInit(invocation: Invocation): Promise<number> {
  const origin = parseServerUrl(textOption(invocation, "server") ?? "");
  const name: string = parseResourceName(textOption(invocation, "org") ?? "");
  const owner: string = parseResourceName(textOption(invocation, "owner") ?? "");
  const stateDir = invocation.config.state.dir;
  const files = await OperatorFiles.open(stateDir);
  const joined = await files.server();
  if (joined !== undefined && (joined.url !== origin || joined.org !== name)) {
    throw new Problem("org.joined", { detail: `It is ${joined.org} at ${joined.url}.` });
  }
  if (joined === undefined) await createOrg({ invocation, files, origin, name, owner });
  const { orgId, identityKey } = await putFirstRoster(stateDir);
  const orgKey = (await files.requireOrgKey()).publicKey;
  if (isSet(invocation, "json")) {
    printJson({ org_id: orgId, owner, org_key: base64url(orgKey), server_key: base64url(identityKey) });
    return 0;
  }
  printLine(`Made ${name} (${orgId}) at ${origin}; you are ${owner}, its owner.`);
  printLine(`Its keys are in ${files.directory}: keep a copy of org.key and org-encryption.key somewhere safe.`);
  await printOwnersLink(stateDir, owner);
  printLine("Next: gatehouse nodes enroll-code");
  return 0;
}

interface NewOrganisation {
  readonly invocation: Invocation;
  readonly files: OperatorFiles;
  readonly origin: string;
  readonly name: string;
  readonly owner: string;
}

async function createOrg({ invocation, files, origin, name, owner }: NewOrganisation): Promise<void> {
  const setupCode = await readCode(textOption(invocation, "setupCodeFile"), "Set-up code");
  const { pin, secret } = parseCode("ghs", setupCode);
  const { signing, encryption } = await files.openOrgKeys();
  const { channel, identity } = await openPinnedChannel(origin, pin);
  using _ = channel;
  const own = { name, owner, orgKey: signing.publicKey, orgEncryptionKey: encryption.publicKey };
  const tuple = newOrgTuple({ ...own, serverIdentityKey: identity.identityKey, codeSha256: sha256(secret) });
  try {
    const proof = signing.sign(tuple);
    const client = createClient(OrgAdminService, channel.transport);
    const { orgId, apiKey } = await client.createOrg({ ...own, setupCode, proof });
    await files.saveApiKey(new Secret(apiKey));
    const { identityKey, keySet } = identity;
    const keys = { orgKey: own.orgKey, orgEncryptionKey: own.orgEncryptionKey };
    await files.saveServer({ url: origin, orgId, org: name, owner, identityKey, keySet, ...keys });
  } catch (failure) {
    throw toServerProblem(failure);
  }
}

/** Nobody has a password that was not chosen: the owner chooses one by a link, where people have passwords at all. */
async function printOwnersLink(stateDir: string, name: string): Promise<void> {
  try {
    const link = await asOperator(stateDir, (operator) => inviteTo(operator, { name, ttlMs: 0, isReset: false }));
    printLine(`To sign in by a browser, choose a password until ${link.expiresAt}, once: ${link.url}`);
  } catch (failure) {
    if (!(failure instanceof Problem) || !HAS_NO_LINK.has(failure.code)) throw failure;
  }
}

/** The first roster certifies this operator's key. One that is there already stands. */
async function putFirstRoster(stateDir: string) {
  return asOperator(stateDir, async ({ files, server, org }) => {
    const { roster } = await org.getOrg({});
    if (roster === undefined) {
      const { orgId } = server;
      const signing = await files.requireOrgKey();
      const operatorKeys = [(await files.openOperatorKey()).publicKey];
      const first = { orgId, version: 1, issuedAt: Date.now(), nodes: [], operatorKeys };
      await org.putRoster({ roster: signRoster(first, signing) });
    }
    return server;
  });
}
