import { toProblem } from "@gatehouse/core";
import { type Log, toServerProblem } from "@gatehouse/kit";
import type { KeptRevocations } from "./kept-revocations.ts";
import type { NodeFiles } from "./node-files.ts";
import type { NodeSession } from "./node-session.ts";

export interface TellDeps {
  readonly files: Pick<NodeFiles, "require">;
  readonly kept: KeptRevocations;
  readonly log: Log;
  /** Of the bundle that is served; 0: none is. */
  readonly servedEpoch: number;
}

/**
 * Tells a server that opened a new epoch what it may have lost with the one before: what it took back, and the roster.
 * Told again until a bundle of the new epoch is served. One that takes none of it is on its own: logged.
 */
export async function tellPast(
  session: NodeSession,
  { files, kept, log, servedEpoch }: TellDeps,
  signal: AbortSignal,
): Promise<void> {
  const { key_set: keySet, roster } = await files.require();
  if (servedEpoch === 0 || servedEpoch >= keySet.epoch) return;
  const rosterVersion = BigInt(roster.version);
  try {
    const revocations = await kept.before(keySet.epoch);
    const { wantsRoster } = await session.gateway.tellPast({ revocations, rosterVersion }, { signal });
    if (wantsRoster) await session.gateway.tellPast({ rosterVersion, roster: JSON.stringify(roster) }, { signal });
  } catch (failure) {
    if (signal.aborted) throw failure;
    const { code, detail = "" } = toProblem(toServerProblem(failure));
    log.warn("the server did not take what this node knows", { code, detail });
  }
}
