import { lstatSync } from "node:fs";
import { Problem } from "@gatehouse/core";
import { identityOf } from "../runs/workspace.ts";

/**
 * Looks, from outside, whether the directories in a sandbox are the very ones that were checked: between check and bind
 * a run that may write to the parent could put a link in the place of one. Fails with `sandbox.workspace_refused`.
 */
export function attestPlaces(initPid: number, identities: Readonly<Record<string, string>>): void {
  for (const [path, identity] of Object.entries(identities)) {
    const seen = lstatSync(`/proc/${initPid}/root${path}`, { bigint: true });
    if (identityOf(seen) === identity) continue;
    throw new Problem("sandbox.workspace_refused", { detail: `${path} is no longer the directory that was checked.` });
  }
}
