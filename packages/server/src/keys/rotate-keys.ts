import { mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { Problem } from "@gatehouse/core";
import { openSigningKey, readPrivateFile, syncDirectory, writeFileAtomic } from "@gatehouse/kit";
import { type KeyDeps, makeWorkingKeys, openServerKeys, type ServerKeys } from "./server-keys.ts";

/**
 * Makes a new set of working keys under the next epoch, signed by the same identity key; the old ones are gone, all but
 * the audit key: a log has one, by which it is verified from its first entry on. The new set is complete on disk before
 * it takes the old one's place. No server may run on this directory. Fails with `state.…`.
 */
export async function rotateKeys(directory: string, deps: KeyDeps): Promise<ServerKeys> {
  const { keySet } = await openServerKeys(directory, deps);
  const [current, next, old] = ["keys", "keys.next", "keys.old"].map((name) => join(directory, name)) as [
    string,
    string,
    string,
  ];
  await rm(next, { recursive: true, force: true });
  await mkdir(next, { mode: 0o700 });
  await keepAuditKey(current, next);
  const identity = await openSigningKey(join(directory, "identity.key"));
  await makeWorkingKeys(next, { identity, epoch: keySet.epoch + 1 }, deps);
  await rename(current, old);
  await rename(next, current);
  await syncDirectory(directory);
  await rm(old, { recursive: true, force: true });
  return openServerKeys(directory, deps);
}

async function keepAuditKey(current: string, next: string): Promise<void> {
  const stored = await readPrivateFile(join(current, "audit.key"));
  if (stored === undefined) throw new Problem("state.corrupt", { detail: `${current} holds no audit key.` });
  await writeFileAtomic(join(next, "audit.key"), stored);
}
