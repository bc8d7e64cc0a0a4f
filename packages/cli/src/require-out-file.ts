import { constants } from "node:fs";
import { access, lstat } from "node:fs/promises";
import { dirname } from "node:path";
import { Problem } from "@gatehouse/core";
import { errorCode, systemReason } from "@gatehouse/kit";

/**
 * Looks at where `--out` leads before the command does anything: what is made once must not be lost to a file that
 * cannot be written. A device, a pipe or a link would be replaced by a file, not written to. Fails with `usage.invalid`.
 */
export async function requireOutFile(path: string): Promise<void> {
  const unusable = (why: string, cause?: unknown) =>
    new Problem("usage.invalid", { detail: `--out takes a file. ${path} ${why}.`, cause });
  if (path === "-") throw unusable("would not be standard output");
  await access(dirname(path), constants.W_OK | constants.X_OK).catch((cause: unknown) => {
    throw unusable(`cannot be written: ${systemReason(cause)}`, cause);
  });
  const found = await lstat(path).catch((cause: unknown) => {
    if (errorCode(cause) !== "ENOENT") throw unusable(`cannot be looked at: ${systemReason(cause)}`, cause);
    return undefined;
  });
  if (found?.isFile() === false) throw unusable("is something else, and would be replaced");
}
