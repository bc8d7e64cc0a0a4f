import { constants } from "node:fs";
import { access, lstat, realpath, stat, statfs } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Problem, toProblem } from "@gatehouse/core";
import { errorCode, openAncestor, openStateDirectory, removeFile, systemReason, writeFileAtomic } from "@gatehouse/kit";
import { type DoctorCheck, failed, passed } from "./doctor-check.ts";

const NAME = "state-directory";
const MIN_FREE_BYTES = 64 * 1_048_576;
const MIN_FREE_FILES = 64;
/** Between the clock of the file system and ours; files of a network share are dated elsewhere. */
const MAX_SKEW_MS = 5_000;

/** The state directory: whose it is, that it can be written, how much room is left, and that its clock is ours. */
export async function checkState(path: string): Promise<readonly DoctorCheck[]> {
  const there = await statOf(path);
  if (there === undefined) return [await checkParent(path)];
  const directory = await checkDirectory(path);
  return directory.ok ? [directory, await checkRoom(path), ...(await checkWriting(path))] : [directory];
}

async function checkParent(path: string): Promise<DoctorCheck> {
  const about = { name: NAME, concerns: "setup" } as const;
  let parent = dirname(path);
  while ((await statOf(parent)) === undefined && parent !== dirname(parent)) parent = dirname(parent);
  try {
    await access(parent, constants.W_OK | constants.X_OK);
    return passed(about, `${path} is not there yet; the daemon makes it`);
  } catch {
    return failed(about, `${parent} cannot be written`, "Name a directory of your own with --state-dir.");
  }
}

async function checkDirectory(path: string): Promise<DoctorCheck> {
  const about = { name: NAME, concerns: "setup" } as const;
  try {
    await openStateDirectory(path);
    return passed(about, `${path} is this user's alone`);
  } catch (failure) {
    return failed(about, toProblem(failure).message, await fixOf(path, toProblem(failure)));
  }
}

async function fixOf(path: string, { code }: Problem): Promise<string> {
  if (code === "config.socket_path_too_long") return "Name a shorter path with --state-dir.";
  const stats = await lstat(path);
  if (stats.isSymbolicLink()) return `Name the directory itself: --state-dir ${await targetOf(path)}`;
  if (!stats.isDirectory()) return `Move ${path} out of the way, or name another with --state-dir.`;
  if (stats.uid !== process.getuid?.()) return `Run as its owner, or: chown -R ${process.getuid?.() ?? ""} ${path}`;
  if ((stats.mode & 0o777) !== 0o700) return `chmod 700 ${path}`;
  return `chmod o-w ${(await openAncestor(path)) ?? dirname(path)}`;
}

async function targetOf(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch {
    return "DIRECTORY";
  }
}

async function checkRoom(path: string): Promise<DoctorCheck> {
  const about = { name: "free-space", concerns: "setup" } as const;
  const { bavail, bsize, files, ffree } = await statfs(path);
  const megabytes = Math.floor((bavail * bsize) / 1_048_576);
  const fix = `Make room on the file system of ${path}, or lower records.maxBytes and records.maxFiles.`;
  if (bavail * bsize < MIN_FREE_BYTES) return failed(about, `${megabytes} MiB are left`, fix);
  if (files > 0 && ffree < MIN_FREE_FILES) return failed(about, `${ffree} files may still be made`, fix);
  return passed(about, `${megabytes} MiB are left`);
}

async function checkWriting(path: string): Promise<readonly DoctorCheck[]> {
  const about = { name: "state-write", concerns: "setup" } as const;
  const file = join(path, "doctor-probe");
  try {
    const before = Date.now();
    await writeFileAtomic(file, "probe");
    const { mtimeMs } = await stat(file);
    const after = Date.now();
    return [passed(about, "a file was written, synchronised and removed"), checkClock({ before, mtimeMs, after })];
  } catch (failure) {
    return [failed(about, toProblem(failure).message, `Make ${path} writable, and make room on its file system.`)];
  } finally {
    await removeFile(file);
  }
}

function checkClock({ before, mtimeMs, after }: Readonly<Record<"before" | "mtimeMs" | "after", number>>): DoctorCheck {
  const about = { name: "clock", concerns: "setup" } as const;
  const skewMs = Math.round(Math.max(before - mtimeMs, mtimeMs - after, 0));
  if (skewMs > MAX_SKEW_MS) {
    return failed(about, `the state directory's clock is ${skewMs} ms off`, "Synchronise the clocks of both machines.");
  }
  return passed(about, `${new Date(after).toISOString()}, as the state directory's file system says`);
}

async function statOf(path: string) {
  try {
    return await lstat(path);
  } catch (failure) {
    if (errorCode(failure) === "ENOENT") return undefined;
    throw new Problem("state.unsafe_directory", { detail: `${path}: ${systemReason(failure)}.`, cause: failure });
  }
}
