import { join } from "node:path";
import { FD, KERNEL_SWITCHES, SANDBOX_HOME, SANDBOX_UID, type SandboxLaunch, type SandboxSpec } from "./driver.ts";
import { planRoot, type RootEntry } from "./root-plan.ts";
import { inOwnTerminal, insideCommand, quote, untilParentDies, viaShell } from "./wrap-command.ts";

/**
 * A sandbox by util-linux alone: namespaces by `unshare`, a root assembled by a script that runs as its init, and
 * `setpriv` to drop what is left. There is no system call filter.
 */
export function launchUnshare(spec: SandboxSpec): SandboxLaunch {
  const namespaces = ["--user", "--map-root-user", "--mount", "--net", "--ipc", "--uts", "--cgroup", "--pid", "--fork"];
  const script = join(spec.runDir, "init.sh");
  const command = [
    ...["unshare", ...namespaces, "--kill-child=KILL", "--"],
    ...["/bin/sh", script, ...viaShell(insideCommand(spec))],
  ];
  const [file = "", ...args] = untilParentDies(spec.isTerminal ? inOwnTerminal(command) : command);
  return {
    file,
    args,
    env: { ...spec.env },
    cwd: "/",
    feeds: [],
    files: [{ path: script, text: initScript(spec) }],
    info: "child-of-unshare",
  };
}

/** Directory of the run over which its root is built. */
export const ROOT_MOUNT = "root";
const DEVICES = ["null", "zero", "full", "random", "urandom", "tty"];

/** What the sandbox's first process runs, POSIX sh. It stays as its init: the shell waits for orphans too. */
function initScript(spec: SandboxSpec): string {
  const { workspace, runDir } = spec;
  const root = quote(join(runDir, ROOT_MOUNT));
  return `set -eu
umask 022
mount --make-rprivate /
mount -t tmpfs -o mode=0755,nosuid,nodev,size=16m tmpfs ${root}
cd ${root}
mkdir -p proc dev/pts dev/shm tmp ${quote(`.${SANDBOX_HOME}`)}
${DEVICES.map((name) => `: > dev/${name}; mount --bind /dev/${name} dev/${name}`).join("\n")}
ln -s /proc/self/fd dev/fd; ln -s fd/0 dev/stdin; ln -s fd/1 dev/stdout; ln -s fd/2 dev/stderr; ln -s pts/ptmx dev/ptmx
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620 devpts dev/pts
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs dev/shm
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs tmp
mount -t tmpfs -o mode=0700,nosuid,nodev tmpfs ${quote(`.${SANDBOX_HOME}`)}
mount -t proc -o nosuid,nodev,noexec proc proc
${planRoot(spec).map(mountLines).join("\n")}
# One more user namespace, the command's own, and none inside it.
echo 1 > proc/sys/user/max_user_namespaces
for path in ${KERNEL_SWITCHES.join(" ")}; do
  [ ! -e .$path ] || { mount --bind .$path .$path; mount -o remount,bind,ro,nosuid,nodev,noexec .$path; }
done
mount -o remount,bind,ro,nosuid,nodev .
# The old root is stacked over the new one, and taken away.
pivot_root . .
umount -l .
cd ${quote(workspace)}
hostname sandbox 2>/dev/null || :
printf r >&${FD.info}
read -r go <&${FD.block}
exec ${FD.args}<&- ${FD.seccomp}<&- ${FD.info}>&- ${FD.block}<&- ${FD.release}<&-
set +e
unshare --user --map-user=${SANDBOX_UID} --map-group=${SANDBOX_UID} -- setpriv --no-new-privs --bounding-set=-all --inh-caps=-all --ambient-caps=-all -- "$@"
exit $?
`;
}

function mountLines(entry: RootEntry): string {
  const to = quote(`.${entry.to}`);
  if (entry.kind === "link") return `ln -s ${quote(entry.target)} ${to}`;
  if (entry.kind === "empty") return `mount -t tmpfs -o mode=0755,ro,nosuid,nodev,size=4k tmpfs ${to}`;
  const from = quote(entry.from);
  const options = `remount,bind,${entry.kind === "write" ? "rw" : "ro"},nosuid,nodev`;
  return `if [ -d ${from} ]; then mkdir -p ${to}; else mkdir -p "$(dirname ${to})"; : > ${to}; fi
mount --bind ${from} ${to}
mount -o ${options} ${to}`;
}
