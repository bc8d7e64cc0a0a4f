import { toProblem } from "@gatehouse/core";
import { requestUnixOk } from "@gatehouse/kit";
import { type DoctorCheck, failed, passed } from "@gatehouse/node";
import { type DemoWorld, openDemoWorld } from "../demo/demo-world.ts";
import type { ProbeLine } from "../demo/probe.ts";
import { callOf, readLines, startInside } from "../demo/run-checks.ts";

const WITHIN_MS = 30_000;

/**
 * The whole way at once: a daemon, a service and a grant of its own, and a sandbox that asks. Nothing of it touches the
 * state directory or is left. `before`: what was found until then.
 */
export async function checkEndToEnd(before: readonly DoctorCheck[]): Promise<DoctorCheck> {
  const about = { name: "end-to-end", concerns: "host" } as const;
  if (before.some(({ name, ok }) => name === "temporary-files" && !ok)) {
    return failed({ ...about, concerns: "setup" }, "not tried: it takes a temporary directory", "See temporary-files.");
  }
  const fix = "Mend what failed above; if nothing did, run again with GATEHOUSE_LOG_LEVEL=debug.";
  try {
    await using world = await openDemoWorld();
    const call = callOf(await linesOfRun(world), "call");
    const isCarried = call.status === 200 && !call.body.includes(world.credential);
    const detail = `sandbox → gate → service on loopback: answered ${call.status}`;
    if (!isCarried) return failed(about, `${detail} ${call.body.slice(0, 200)}`, fix);
    return passed(about, `${detail} with the credential attached, and without it in the answer`);
  } catch (failure) {
    return failed(about, toProblem(failure).message, fix);
  }
}

async function linesOfRun(world: DemoWorld): Promise<readonly ProbeLine[]> {
  const { run_id: runId } = await startInside(world);
  const seen: ProbeLine[] = [];
  try {
    for await (const line of readLines(world, runId, AbortSignal.timeout(WITHIN_MS))) {
      seen.push(line);
      if (line.step === "call") break;
    }
  } finally {
    await requestUnixOk({ socketPath: world.socketPath, method: "DELETE", path: `/v1/sandboxes/${runId}` });
  }
  return seen;
}
