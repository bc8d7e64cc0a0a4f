import { join } from "node:path";
import { readDaemonLock, requestUnix } from "@gatehouse/kit";

const PATIENCE_MS = 3_000;
const RETRY_MS = 50;

/**
 * While a daemon lives and its gate is being started again, waits for it a moment. Says nothing when it does not come:
 * the command's own call then fails with what is wrong.
 */
export async function awaitGate(stateDir: string): Promise<void> {
  const socketPath = join(stateDir, "daemon.sock");
  const deadline = performance.now() + PATIENCE_MS;
  while (performance.now() < deadline) {
    if (await answers(socketPath)) return;
    const lock = await readDaemonLock(stateDir).catch(() => undefined);
    if (lock === undefined) return;
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}

async function answers(socketPath: string): Promise<boolean> {
  try {
    await requestUnix({ socketPath, path: "/v1/health", timeoutMs: PATIENCE_MS });
    return true;
  } catch {
    return false;
  }
}
