import { existsSync } from "node:fs";
import { bindDevices, REOPEN_NULL } from "./devices.ts";
import {
  FD,
  KERNEL_LISTINGS,
  KERNEL_SWITCHES,
  SANDBOX_HOME,
  SANDBOX_UID,
  type SandboxLaunch,
  type SandboxSpec,
} from "./driver.ts";
import { readHostMounts } from "./host-mounts.ts";
import { planRoot, type RootEntry } from "./root-plan.ts";
import { seccompProgram } from "./seccomp.ts";
import { heldBy, insideCommand, onceReleased, toolEnvironment } from "./wrap-command.ts";

/** A sandbox by bubblewrap. Its arguments travel over a descriptor: the run token is in no argv. */
export function launchBubblewrap(spec: SandboxSpec): SandboxLaunch {
  const options = [
    ...["--unshare-user", "--uid", String(SANDBOX_UID), "--gid", String(SANDBOX_UID)],
    ...["--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-net", "--unshare-cgroup-try"],
    ...["--disable-userns", "--die-with-parent", "--cap-drop", "ALL", "--hostname", "sandbox"],
    ...(spec.isTerminal ? [] : ["--new-session"]),
    ...["--proc", "/proc", "--dev", "/dev", "--perms", "1777", "--tmpfs", "/tmp"],
    ...["--perms", "0700", "--tmpfs", SANDBOX_HOME],
    // bubblewrap leaves these writable where the caller is root: the kernel's own switches, its crash handler among
    // them.
    ...KERNEL_SWITCHES.flatMap((path) => ["--ro-bind-try", path, path]),
    // Its init is an ordinary process of the same user: a run that stops it by a debugger would never end.
    ...["--tmpfs", "/proc/1", "--remount-ro", "/proc/1"],
    ...KERNEL_LISTINGS.filter((path) => existsSync(path)).flatMap((path) => ["--ro-bind", "/dev/null", path]),
    ...planRoot(spec).flatMap(mountOption),
    ...["--remount-ro", "/", "--chdir", spec.workspace, "--clearenv"],
    ...Object.entries(spec.env).flatMap(([name, value]) => ["--setenv", name, value]),
    ...["--info-fd", String(FD.info), "--block-fd", String(FD.block)],
    ...["--seccomp", String(FD.seccomp)],
  ];
  const released = onceReleased(insideCommand(spec));
  const command = overSafeDevices(["bwrap", "--args", String(FD.args), "--", ...released]);
  return {
    ...heldBy(command, spec),
    env: toolEnvironment(),
    cwd: "/",
    feeds: [
      { fd: FD.args, data: Buffer.from(options.map((option) => `${option}\0`).join("")) },
      { fd: FD.seccomp, data: seccompProgram() },
    ],
    files: [],
    info: "bubblewrap-json",
  };
}

/**
 * bubblewrap binds the host's devices and has no option to bind them read-only. Where root runs it they are made so
 * before, in a mount namespace of its own; to others they do not belong.
 */
export function overSafeDevices(command: readonly string[]): readonly string[] {
  if (process.getuid?.() !== 0) return command;
  const prepare = `set -e\n${bindDevices(readHostMounts(), "")}\n${REOPEN_NULL}\nexec "$@"`;
  const namespaces = ["--user", "--map-root-user", "--mount", "--propagation", "private"];
  return ["unshare", ...namespaces, "--", "/bin/sh", "-c", prepare, "sh", ...command];
}

function mountOption(entry: RootEntry): readonly string[] {
  if (entry.kind === "link") return ["--symlink", entry.target, entry.to];
  if (entry.kind === "empty") return ["--tmpfs", entry.to, "--remount-ro", entry.to];
  return [entry.kind === "write" ? "--bind" : "--ro-bind", entry.from, entry.to];
}
