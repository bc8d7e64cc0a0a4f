import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { join } from "node:path";
import { openAncestor, systemReason } from "@gatehouse/kit";
import { type DoctorCheck, failed, passed } from "./doctor-check.ts";

const ELSEWHERE = "Set TMPDIR to a directory of your own";

/** The directory for temporary files, in which a probe has its files and the last check its daemon. */
export async function checkTemporary(path: string): Promise<readonly DoctorCheck[]> {
  const about = { name: "temporary-files", concerns: "setup" } as const;
  try {
    await access(path, constants.W_OK | constants.X_OK);
    const open = await openAncestor(join(path, "below"));
    if (open === undefined) return [passed(about, `${path} can be written`)];
    const detail = `in ${open} any user can put another directory in the place of what is in ${path}`;
    return [failed(about, detail, await fixOf(open))];
  } catch (failure) {
    return [failed(about, `${path}: ${systemReason(failure)}`, `${ELSEWHERE}.`)];
  }
}

/** What strangers share may stay shared: its sticky bit leaves everybody what is theirs. */
async function fixOf(open: string): Promise<string> {
  const { uid } = await stat(open);
  return uid === process.getuid?.() ? `${ELSEWHERE}, or: chmod +t ${open}` : `${ELSEWHERE}.`;
}
