/** What the server makes of a node's heartbeats. `undefined`: there was none yet. */
export type Liveness = "online" | "stale" | "offline";

export const STALE_AFTER_MS = 90_000;
export const OFFLINE_AFTER_MS = 600_000;

/** Derived from the server's own clock; what the node claims does not count. */
export function livenessOf(lastSeenAt: number | undefined, nowMs: number): Liveness | undefined {
  if (lastSeenAt === undefined) return undefined;
  const quietMs = nowMs - lastSeenAt;
  if (quietMs < STALE_AFTER_MS) return "online";
  return quietMs < OFFLINE_AFTER_MS ? "stale" : "offline";
}
