import { Problem } from "@gatehouse/core";
import { removeFile } from "@gatehouse/kit";
import { Role } from "@gatehouse/wire";
import { type Invocation, isSet } from "../invocation.ts";
import { allPages } from "../operator/all-pages.ts";
import { asOperator, type Operator } from "../operator/open-operator.ts";
import { OperatorFiles } from "../operator/operator-files.ts";
import { printJson, printLine } from "../terminal/print.ts";

/** Ends this machine's key at the server, then forgets it here. A server that cannot be asked leaves both. */
export async function logout(invocation: Invocation): Promise<number> {
  const stateDir = invocation.config.state.dir;
  const files = await OperatorFiles.open(stateDir);
  const text = (await files.apiKey())?.reveal();
  if (text === undefined) throw new Problem("org.not_joined");
  await asOperator(stateDir, (operator) => endKey(operator, text)).catch(ifEndedAlready);
  await removeFile(files.apiKeyPath);
  if (isSet(invocation, "json")) printJson({ state: "logged_out" });
  else printLine("Logged out: this machine's key opens nothing any more.");
  return 0;
}

/** The only key of an owner stays: nobody could make another. */
async function endKey({ org }: Operator, text: string): Promise<void> {
  const apiKeys = await allPages(org.listApiKeys, (page) => page.apiKeys);
  const own = apiKeys.find(({ prefix }) => text.startsWith(`${prefix}_`));
  if (own === undefined) return;
  const isOwners = ({ role, expiresAt }: typeof own) => role === Role.OWNER && Number(expiresAt) > Date.now();
  if (isOwners(own) && !apiKeys.some((key) => key.id !== own.id && isOwners(key))) {
    throw new Problem("keys.last_owner");
  }
  await org.revokeApiKey({ id: own.id });
}

function ifEndedAlready(failure: unknown): void {
  if (!(failure instanceof Problem && failure.code === "auth.refused")) throw failure;
}
