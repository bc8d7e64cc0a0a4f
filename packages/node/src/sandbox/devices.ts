import { existsSync } from "node:fs";
import { type HostMount, lockedOptions } from "./host-mounts.ts";

const DEVICES = ["null", "zero", "full", "random", "urandom", "tty"].map((name) => `/dev/${name}`);

/**
 * Lines of shell that bind the host's devices below `root`, read-only; over themselves where it is empty. They are the
 * host's own nodes, and where root runs the daemon the sandbox's user owns them: on a writable mount it could change
 * their mode for the whole machine. Reading and writing the devices themselves is not held up by it.
 */
export function bindDevices(mounts: readonly HostMount[], root: string): string {
  return DEVICES.filter((path) => existsSync(path))
    .map((path) => {
      const options = ["remount", "bind", "ro", "nosuid", ...lockedOptions(mounts, path)].join(",");
      const make = root === "" ? "" : `: > ${root}${path}; `;
      return `${make}mount --bind ${path} ${root}${path}; mount -o ${options} ${root}${path}`;
    })
    .join("\n");
}

/** Lines of shell that open standard streams anew that are the host's own /dev/null, for the same reason. */
export const REOPEN_NULL = `[ ! /proc/self/fd/0 -ef /dev/null ] || exec 0</dev/null
[ ! /proc/self/fd/1 -ef /dev/null ] || exec 1>/dev/null
[ ! /proc/self/fd/2 -ef /dev/null ] || exec 2>/dev/null`;
