import { base64url, Problem } from "@gatehouse/core";
import { parseServerUrl } from "@gatehouse/kit";
import { type Invocation, isSet, textOption } from "../invocation.ts";
import { createOrg, putFirstRoster } from "../operator/create-org.ts";
import { inviteTo } from "../operator/invitation-link.ts";
import { asOperator } from "../operator/open-operator.ts";
import { OperatorFiles } from "../operator/operator-files.ts";
import { readName } from "../read-name.ts";
import { printJson, printLine, shown } from "../terminal/print.ts";
import { readCode } from "../terminal/read-code.ts";

/** A server without passwords, or of an earlier release; an owner who has one. */
const HAS_NO_LINK: ReadonlySet<string> = new Set(["signin.no_passwords", "api.not_supported", "members.has_password"]);

/**
 * Makes an organisation: its keys here, on disk before anything else, then the organisation on the server, then the
 * first roster. Interrupted anywhere, the same command goes on.
 */
export async function orgInit(invocation: Invocation): Promise<number> {
  const origin = parseServerUrl(textOption(invocation, "server") ?? "");
  const name: string = readName(textOption(invocation, "org") ?? "", "--org");
  const owner: string = readName(textOption(invocation, "owner") ?? "", "--owner");
  const stateDir = invocation.config.state.dir;
  const files = await OperatorFiles.open(stateDir);
  const joined = await files.server();
  if (joined !== undefined && (joined.url !== origin || joined.org !== name)) {
    throw new Problem("org.joined", { detail: `It is ${joined.org} at ${joined.url}.` });
  }
  if (joined === undefined) {
    const setupCode = await readCode(textOption(invocation, "setupCodeFile"), "Set-up code");
    await createOrg({ files, origin, name, owner, setupCode });
  }
  const { orgId, identityKey } = await putFirstRoster(stateDir);
  const orgKey = (await files.requireOrgKey()).publicKey;
  if (isSet(invocation, "json")) {
    printJson({ org_id: orgId, owner, org_key: base64url(orgKey), server_key: base64url(identityKey) });
    return 0;
  }
  printLine(`Made ${name} (${shown(orgId)}) at ${origin}; you are ${owner}, its owner.`);
  printLine(`Its keys are in ${files.directory}: keep a copy of org.key and org-encryption.key somewhere safe.`);
  await printOwnersLink(stateDir, owner);
  printLine("Next: gatehouse nodes enroll-code");
  return 0;
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
