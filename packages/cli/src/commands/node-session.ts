import { leaveServer, refreshSession, rotateApiKey } from "@gatehouse/node";
import { type Invocation, isSet } from "../invocation.ts";
import { printJson, printLine } from "../terminal/print.ts";

/** Opens a session with the stored key. */
export async function refresh(invocation: Invocation): Promise<number> {
  const { session, apiKey } = await refreshSession(invocation.config.state.dir);
  const sessionExpiresAt = new Date(session).toISOString();
  const keyExpiresAt = apiKey === undefined ? null : new Date(apiKey).toISOString();
  if (isSet(invocation, "json")) {
    printJson({ session_expires_at: sessionExpiresAt, api_key_expires_at: keyExpiresAt });
  } else {
    printLine(`The server knows this node. The session would end at ${sessionExpiresAt}.`);
    if (keyExpiresAt !== null) printLine(`The API key is good until ${keyExpiresAt}.`);
  }
  return 0;
}

/** Fetches a new API key. */
export async function rotate(invocation: Invocation): Promise<number> {
  const expiresAt = new Date(await rotateApiKey(invocation.config.state.dir)).toISOString();
  if (isSet(invocation, "json")) printJson({ api_key_expires_at: expiresAt });
  else printLine(`A new API key is in use until ${expiresAt}; the old one opens nothing any more.`);
  return 0;
}

/** Leaves the server. */
export async function leave(invocation: Invocation): Promise<number> {
  const { wasKnown } = await leaveServer(invocation.config.state.dir);
  const done = wasKnown
    ? "This host left its server."
    : "The server no longer knows this node, which is forgotten here too.";
  if (isSet(invocation, "json")) printJson({ state: "alone", was_known: wasKnown });
  else printLine(`${done} Its credentials and records are still here.`);
  return 0;
}
