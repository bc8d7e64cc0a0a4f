import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** The workspace's root directory, without a slash at its end. */
export const REPOSITORY = fileURLToPath(new URL("../../../..", import.meta.url)).replace(/\/$/, "");
/** The runtime as every sandbox sees it: newer than the host's own may be, so its fetch honours proxy variables. */
export const SANDBOX_NODE = "/.gatehouse/node";
const ENTRY = `${REPOSITORY}/dist/gatehouse.js`;

/** The built command as its users start it. Throws when it has not been built. */
export function productCommand(): readonly [program: string, script: string] {
  if (!existsSync(ENTRY)) throw new Error(`${ENTRY} is not there; build it with: npm run build`);
  return [process.execPath, ENTRY];
}

/** What the product finds around it: nothing of the machine's own configuration, all of it below one directory. */
export function productEnvironment(directory: string): Readonly<Record<string, string>> {
  return {
    PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    LANG: "C.UTF-8",
    HOME: `${directory}/home`,
    TMPDIR: `${directory}/tmp`,
    XDG_CONFIG_HOME: `${directory}/config`,
    XDG_STATE_HOME: `${directory}/home/state`,
    XDG_RUNTIME_DIR: `${directory}/home/runtime`,
  };
}
