import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { native } from "@gatehouse/kit";
import { overSafeDevices } from "./bubblewrap.ts";
import type { DriverName } from "./driver.ts";
import { UNSHARE_ALL } from "./unshare.ts";
import { toolEnvironment } from "./wrap-command.ts";

/** What a probe found; `fix` is what a person can do about it. */
export type ProbeResult =
  | { readonly ok: true; readonly detail: string }
  | { readonly ok: false; readonly detail: string; readonly fix: string };

const PROBE_TIMEOUT_MS = 10_000;
type IsolatingDriver = Exclude<DriverName, "process">;

const UTIL_LINUX = ["unshare", "setpriv", "nsenter", "mount"];
const NEEDED: Readonly<Record<IsolatingDriver, readonly string[]>> = {
  bubblewrap: ["bwrap", ...UTIL_LINUX],
  unshare: [...UTIL_LINUX, "pivot_root"],
};
const INSTALL: Readonly<Record<IsolatingDriver, string>> = {
  bubblewrap: "apt-get install bubblewrap util-linux (or use --driver unshare).",
  unshare: "Install util-linux.",
};
const BUBBLEWRAP = ["bwrap", "--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-net", "--disable-userns"];
const PROBES: Readonly<Record<IsolatingDriver, () => readonly string[]>> = {
  bubblewrap: () =>
    overSafeDevices([...BUBBLEWRAP, "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "--", "/bin/true"]),
  unshare: () => [...UNSHARE_ALL, "/bin/sh", "-c", "mount -t tmpfs tmpfs /tmp && mount -t proc proc /proc"],
};

/** Tries for real whether a driver works on this host. */
export async function probeDriver(driver: DriverName): Promise<ProbeResult> {
  if (driver === "process") return { ok: true, detail: "no isolation: runs are marked exposed" };
  if (process.platform !== "linux") {
    return {
      ok: false,
      detail: "namespaces are Linux's",
      fix: "Use Linux, or --driver process, which isolates nothing.",
    };
  }
  if (!native.available) {
    return {
      ok: false,
      detail: `native calls are missing: ${native.why ?? ""}`,
      fix: "Run npm install again on this machine.",
    };
  }
  const missing = NEEDED[driver].find((tool) => !isInstalled(tool));
  if (missing !== undefined) return { ok: false, detail: `${missing} is not installed`, fix: INSTALL[driver] };
  const complaint = await tryRun(PROBES[driver]());
  if (complaint === undefined) return { ok: true, detail: `${driver} builds namespaces` };
  return { ok: false, detail: complaint, fix: fixFor(complaint) };
}

/** `undefined` when it ended well, else the last line of what it said. */
function tryRun([file = "", ...args]: readonly string[]): Promise<string | undefined> {
  return new Promise((resolve) => {
    execFile(file, args, { timeout: PROBE_TIMEOUT_MS, env: toolEnvironment() }, (failure, _stdout, stderr) => {
      if (failure === null) resolve(undefined);
      else resolve(stderr.trim().split("\n").at(-1) || `${file} ended with ${String(failure.code)}`);
    });
  });
}

/** Whether a tool is where those that build sandboxes are looked for. */
export function isInstalled(tool: string): boolean {
  return (toolEnvironment().PATH ?? "").split(":").some((folder) => existsSync(join(folder, tool)));
}

const SWITCHES = [
  { path: "/proc/sys/kernel/unprivileged_userns_clone", bad: "0", fix: "sysctl -w kernel.unprivileged_userns_clone=1" },
  {
    path: "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
    bad: "1",
    fix: "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or install bubblewrap with its profile",
  },
  { path: "/proc/sys/user/max_user_namespaces", bad: "0", fix: "sysctl -w user.max_user_namespaces=10000" },
];

function fixFor(complaint: string): string {
  if (/unknown option/i.test(complaint)) return "Install bubblewrap 0.8 or newer (or use --driver unshare).";
  const found = SWITCHES.find(({ path, bad }) => existsSync(path) && readFileSync(path, "utf8").trim() === bad);
  return found === undefined ? "Allow user namespaces to this user." : `As root: ${found.fix}.`;
}
