import { runProcess } from "./run-process.ts";

/** What a start of the runtime takes on a machine at rest. */
const AT_REST_MS = 45;
const TRIES = 3;

/**
 * A time limit for a machine that is as busy as this one now: the limit itself at rest, else as many times as long as
 * the runtime takes to start. What is held to it is measured before: what stretches it must not have passed meanwhile.
 */
export async function stretchedLimit(limitMs: number): Promise<number> {
  const began = performance.now();
  for (let count = 0; count < TRIES; count += 1) await runProcess(process.execPath, ["-e", "0"], { env: {} });
  const tookMs = (performance.now() - began) / TRIES;
  return limitMs * Math.max(1, tookMs / AT_REST_MS);
}
