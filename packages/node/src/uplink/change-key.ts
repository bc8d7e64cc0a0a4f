import { apiKeyTuple } from "@gatehouse/core";
import { sha256, toServerProblem } from "@gatehouse/kit";
import { openHostKeys } from "./host-keys.ts";
import { NodeFiles } from "./node-files.ts";
import { type NodeSession, openNodeSession } from "./node-session.ts";

/** Opens a session with the stored key, to see that it works. Answers when it would end, in Unix milliseconds. */
export async function refreshSession(stateDir: string): Promise<number> {
  using session = await openNodeSession(stateDir);
  return session.expiresAt;
}

/**
 * Fetches a new API key: on disk before the old one is let go of, which ends with the new one's first use, here.
 * Answers when the new key expires, in Unix milliseconds.
 */
export async function rotateApiKey(stateDir: string): Promise<number> {
  const expiresAt = await fetchKey(stateDir);
  await refreshSession(stateDir);
  return expiresAt;
}

async function fetchKey(stateDir: string): Promise<number> {
  using session = await openNodeSession(stateDir);
  return await fetchApiKey(session, stateDir);
}

/** Fetches a new API key in a session, for the next one to be opened with. Answers when it expires. */
export async function fetchApiKey(session: NodeSession, stateDir: string): Promise<number> {
  try {
    const { sealedApiKey, issuedAt, expiresAt } = await session.gateway.rotateApiKey({});
    const { encryption } = await openHostKeys(stateDir);
    const aad = sha256(apiKeyTuple(session.node.node_id, Number(issuedAt)));
    await new NodeFiles(stateDir).saveApiKey(await encryption.open(sealedApiKey, aad));
    return Number(expiresAt);
  } catch (failure) {
    throw toServerProblem(failure);
  }
}

/** Leaves the server: this node is revoked there first, then forgotten here. */
export async function leaveServer(stateDir: string): Promise<void> {
  using session = await openNodeSession(stateDir);
  try {
    await session.gateway.leave({});
  } catch (failure) {
    throw toServerProblem(failure);
  }
  await new NodeFiles(stateDir).forgetServer();
}
