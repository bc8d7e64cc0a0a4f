import { tmpdir } from "node:os";
import type { Config } from "@gatehouse/kit";
import { checkDaemon } from "./check-daemon.ts";
import { checkDrivers } from "./check-drivers.ts";
import { checkHost } from "./check-host.ts";
import { checkState } from "./check-state.ts";
import { checkTemporary } from "./check-temporary.ts";
import { checkTrust } from "./check-trust.ts";
import type { DoctorCheck } from "./doctor-check.ts";

/** The hops between a run and a service, in the order in which a request depends on them. */
const HOPS = [
  () => checkHost(),
  () => checkTemporary(tmpdir()),
  () => checkDrivers(),
  (config) => checkTrust(config),
  ({ state }) => checkState(state.dir),
  ({ state }) => checkDaemon(state.dir),
] as const satisfies readonly ((config: Config) => Promise<readonly DoctorCheck[]>)[];

/** Tries each hop for real, one after the other, and tells of each as it is known. Leaves nothing behind. */
export async function runDoctor(
  config: Config,
  onCheck: (check: DoctorCheck) => void,
): Promise<readonly DoctorCheck[]> {
  const checks: DoctorCheck[] = [];
  for (const hop of HOPS) {
    const found = await hop(config);
    for (const check of found) onCheck(check);
    checks.push(...found);
  }
  return checks;
}
