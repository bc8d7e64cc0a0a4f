import { apiKeyTuple, Problem } from "@gatehouse/core";
import { sha256, toServerProblem } from "@gatehouse/kit";
import { openHostKeys } from "./host-keys.ts";
import { NodeFiles } from "./node-files.ts";
import { type NodeSession, openNodeSession } from "./node-session.ts";

/** When what a host authenticates itself by ends, in Unix milliseconds. */
export interface Expiries {
  readonly session: number;
  /** `undefined`: the server does not say. */
  readonly apiKey: number | undefined;
}

/** Opens a session with the stored key, to see that it works; a key that had expired is a fresh one from then on. */
export async function refreshSession(stateDir: string): Promise<Expiries> {
  using session = await openNodeSession(stateDir);
  return { session: session.proofs.expiresAt, apiKey: await new NodeFiles(stateDir).keyExpiry() };
}

/**
 * Fetches a new API key: on disk before the old one is let go of, which ends with the new one's first use, here.
 * Answers when the new key expires, in Unix milliseconds.
 */
export async function rotateApiKey(stateDir: string): Promise<number> {
  const expiresAt = await fetchKey(stateDir);
  return (await refreshSession(stateDir)).apiKey ?? expiresAt;
}

async function fetchKey(stateDir: string): Promise<number> {
  using session = await openNodeSession(stateDir);
  return await fetchApiKey(session, stateDir);
}

/** Fetches a new API key in a session, for the next one to be opened with. Answers when it expires. */
export async function fetchApiKey(session: NodeSession, stateDir: string): Promise<number> {
  const files = new NodeFiles(stateDir);
  try {
    const before = await files.apiKey();
    const { sealedApiKey, issuedAt, expiresAt } = await session.gateway.rotateApiKey({});
    const { encryption } = await openHostKeys(stateDir);
    const aad = sha256(apiKeyTuple(session.node.node_id, Number(issuedAt)));
    await files.replaceApiKey(before, await encryption.open(sealedApiKey, aad));
    return Number(expiresAt);
  } catch (failure) {
    throw toServerProblem(failure);
  }
}

/**
 * Leaves the server: this node is revoked there first, then forgotten here. Answers whether the server still knew it;
 * one that cannot be asked, or cannot prove itself, leaves everything as it was. Broken off, the same call goes on.
 */
export async function leaveServer(stateDir: string): Promise<{ readonly wasKnown: boolean }> {
  const files = new NodeFiles(stateDir);
  const wasKnown = (await files.isForgetting()) ? false : await leaveThere(stateDir);
  await files.forgetServer();
  return { wasKnown };
}

async function leaveThere(stateDir: string): Promise<boolean> {
  try {
    using session = await openNodeSession(stateDir);
    await session.gateway.leave({});
    return true;
  } catch (failure) {
    const problem = toServerProblem(failure);
    if (isRefused(problem)) return false;
    throw problem;
  }
}

/** Asks the server whether this node is still one of its. Fails with `enroll.forgotten` when it is not, `server.…`. */
export async function checkStillKnown(stateDir: string, signal?: AbortSignal): Promise<void> {
  try {
    using _ = await openNodeSession(stateDir, signal);
  } catch (failure) {
    if (isRefused(failure)) throw new Problem("enroll.forgotten", { cause: failure });
    throw failure;
  }
}

function isRefused(failure: unknown): boolean {
  return failure instanceof Problem && failure.code === "auth.refused";
}
