import { statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { nativePackages, resolveEntry } from "@gatehouse/kit";
import { bindDevices, REOPEN_NULL } from "./devices.ts";
import {
  FD,
  KERNEL_LISTINGS,
  KERNEL_SWITCHES,
  SANDBOX_HOME,
  SANDBOX_OWN,
  SANDBOX_UID,
  type SandboxLaunch,
  type SandboxSpec,
} from "./driver.ts";
import { type HostMount, lockedOptions, mountsBelow, readHostMounts } from "./host-mounts.ts";
import { planRoot, type RootEntry } from "./root-plan.ts";
import { seccompProgram } from "./seccomp.ts";
import { heldBy, insideCommand, onceReleased, quote, toolEnvironment } from "./wrap-command.ts";

/** Every namespace of a sandbox, by util-linux; the caller is its root until `setpriv` takes that away. */
export const UNSHARE_ALL = [
  ...["unshare", "--user", "--map-root-user", "--mount", "--net", "--ipc", "--uts", "--cgroup", "--pid", "--fork"],
  ...["--kill-child=KILL", "--"],
] as const;

/**
 * A sandbox by util-linux alone: namespaces by `unshare`, a root assembled by a script that runs as its init, and
 * `setpriv` to drop what is left, and `confine` to put the system call filter on.
 */
export function launchUnshare(spec: SandboxSpec): SandboxLaunch {
  const script = join(spec.runDir, "init.sh");
  const command = [...UNSHARE_ALL, "/bin/sh", script, ...onceReleased(insideCommand(spec))];
  return {
    ...heldBy(command, spec),
    env: toolEnvironment(),
    cwd: "/",
    feeds: [
      { fd: FD.args, data: Buffer.from(exportLines(spec.env)) },
      { fd: FD.seccomp, data: seccompProgram() },
    ],
    files: [{ path: script, text: initScript(spec) }],
    info: "child-of-unshare",
  };
}

const CONFINE = `${SANDBOX_OWN}/confine.mjs`;

/** What puts the filter on, inside. */
function ownPrograms(): readonly RootEntry[] {
  const packages = [...nativePackages()].map(([name, from]): RootEntry => {
    return { kind: "read", from, to: `${SANDBOX_OWN}/node_modules/${name}` };
  });
  return [{ kind: "read", from: resolveEntry("confine"), to: CONFINE }, ...packages];
}

/** Directory of the run over which its root is built. */
export const ROOT_MOUNT = "root";

// Set by the command's own shell and by none before it: LD_PRELOAD or PATH would turn a tool that still has
// capabilities over to the workspace. `command` keeps a shell going that has one of the names for itself.
const WITH_VARIABLES = `eval "$(cat <&${FD.args})"; exec ${FD.args}<&-; exec "$@"`;

function exportLines(env: SandboxSpec["env"]): string {
  const names = Object.entries(env).map(([name, value]) => `command export ${name}=${quote(value)} 2>/dev/null || :\n`);
  return `unset LC_ALL TERM PATH OLDPWD\n${names.join("")}`;
}

/** What the sandbox's first process runs, POSIX sh. It stays as its init: the shell waits for orphans too. */
function initScript(spec: SandboxSpec): string {
  const { workspace, runDir } = spec;
  const mounts = readHostMounts();
  const entries = [...planRoot(spec), ...ownPrograms()];
  const root = quote(join(runDir, ROOT_MOUNT));
  const confine = [`${SANDBOX_OWN}/${basename(spec.runtime)}`, "--disable-sigusr1", CONFINE].map(quote).join(" ");
  return `set -eu
umask 022
mount --make-rprivate /
mount -t tmpfs -o mode=0755,nosuid,nodev,size=16m tmpfs ${root}
cd ${root}
mkdir -p proc dev/pts dev/shm tmp ${quote(`.${SANDBOX_HOME}`)}
${bindDevices(mounts, ".")}
ln -s /proc/self/fd dev/fd; ln -s fd/0 dev/stdin; ln -s fd/1 dev/stdout; ln -s fd/2 dev/stderr; ln -s pts/ptmx dev/ptmx
mount -t devpts -o nosuid,noexec,newinstance,ptmxmode=0666,mode=0620 devpts dev/pts
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs dev/shm
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs tmp
mount -t tmpfs -o mode=0700,nosuid,nodev tmpfs ${quote(`.${SANDBOX_HOME}`)}
mount -t proc -o nosuid,nodev,noexec proc proc
${pointLines(entries)}
${entries.map((entry) => mountLines(entry, mounts)).join("\n")}
# One more user namespace, the command's own, and none inside it.
echo 1 > proc/sys/user/max_user_namespaces
for path in ${KERNEL_SWITCHES.join(" ")}; do
  [ ! -e .$path ] || { mount --bind .$path .$path; mount -o remount,bind,ro,nosuid,nodev,noexec .$path; }
done
for path in ${KERNEL_LISTINGS.join(" ")}; do
  [ ! -e .$path ] || mount --bind dev/null .$path
done
mount -o remount,bind,ro,nosuid,nodev .
# The old root is stacked over the new one, and taken away.
pivot_root . .
umount -l .
cd ${quote(workspace)}
hostname sandbox 2>/dev/null || :
${REOPEN_NULL}
printf r >&${FD.info}
exec ${FD.info}>&- ${FD.block}<&-
set +e
# Its capabilities are kept for the one step that takes them all away, the bounding set's among them.
unshare --user --map-user=${SANDBOX_UID} --map-group=${SANDBOX_UID} --keep-caps -- \\
  setpriv --no-new-privs --bounding-set=-all --inh-caps=-all --ambient-caps=-all -- \\
  ${confine} \\
  /bin/sh -c ${quote(WITH_VARIABLES)} sh "$@"
exit $?
`;
}

/** Makes every mount point at once: a process for each would cost more than all the rest. */
function pointLines(entries: readonly RootEntry[]): string {
  const bound = entries.filter((entry) => entry.kind === "read" || entry.kind === "write");
  // One that is gone is for the mount to complain of.
  const files = bound.filter(({ from }) => statSync(from, { throwIfNoEntry: false })?.isDirectory() === false);
  const folders = bound.map((entry) => (files.includes(entry) ? dirname(entry.to) : entry.to));
  const made = [...new Set(folders)].map((path) => quote(`.${path}`));
  return [`mkdir -p ${made.join(" ")}`, ...files.map(({ to }) => `: > ${quote(`.${to}`)}`)].join("\n");
}

function mountLines(entry: RootEntry, mounts: readonly HostMount[]): string {
  const to = quote(`.${entry.to}`);
  if (entry.kind === "link") return `ln -s ${quote(entry.target)} ${to}`;
  if (entry.kind === "empty") return `mount -t tmpfs -o mode=0755,ro,nosuid,nodev,size=4k tmpfs ${to}`;
  const { from, kind } = entry;
  const options = (source: string) =>
    [kind === "write" ? "rw" : "ro", "nosuid", "nodev", ...lockedOptions(mounts, source)].join(",");
  const remount = (source: string) =>
    `mount -o remount,bind,${options(source)} ${quote(`.${entry.to}${source.slice(from.length)}`)}`;
  // A bind without the mounts below it would uncover what they hide, which the kernel refuses.
  return [`mount --rbind -o ${options(from)} ${quote(from)} ${to}`, ...mountsBelow(mounts, from).map(remount)].join(
    "\n",
  );
}
