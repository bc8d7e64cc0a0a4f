import { join } from "node:path";
import { readDaemonLock, requestUnix, waitHealthy } from "@gatehouse/kit";

const PATIENCE_MS = 3_000;

/**
 * While a daemon lives and its gate is being started again, waits for it a moment. Says nothing when it does not come:
 * the command's own call then fails with what is wrong.
 */
export async function awaitGate(stateDir: string): Promise<void> {
  const socketPath = join(stateDir, "daemon.sock");
  try {
    await waitHealthy({
      timeoutMs: PATIENCE_MS,
      // Without a daemon there is nothing to wait for.
      probe: async (signal) => (await answers(socketPath, signal)) || (await readDaemonLock(stateDir)) === undefined,
    });
  } catch {
    return;
  }
}

async function answers(socketPath: string, signal: AbortSignal): Promise<boolean> {
  try {
    await requestUnix({ socketPath, path: "/v1/health", signal });
    return true;
  } catch {
    return false;
  }
}
