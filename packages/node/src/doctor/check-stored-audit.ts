import { join } from "node:path";
import { toProblem } from "@gatehouse/core";
import { openLogSource, verifyLog } from "@gatehouse/kit";
import { type DoctorCheck, failed, passed } from "./doctor-check.ts";

/** The audit log on the disk, which a daemon refuses to go on with when it is not what was signed. */
export async function checkStoredAudit(stateDir: string): Promise<readonly DoctorCheck[]> {
  const about = { name: "audit", concerns: "setup" } as const;
  const folder = join(stateDir, "audit");
  try {
    const { entries } = await verifyLog(await openLogSource(folder));
    return [passed(about, `${entries} entries on the disk, as they were signed`)];
  } catch (failure) {
    const { code, message } = toProblem(failure);
    // There is no log yet, or none of which anything was signed.
    if (code === "audit.not_found") return [];
    return [failed(about, message, `Find out who changed it, then move ${folder} away: the daemon begins a new log.`)];
  }
}
