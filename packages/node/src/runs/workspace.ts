import {
  type BigIntStats,
  closeSync,
  constants,
  fstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  realpathSync,
} from "node:fs";
import { homedir } from "node:os";
import { join, sep } from "node:path";
import { Problem } from "@gatehouse/core";

/** What of Gatehouse and of its user is seen in no sandbox. */
export interface OwnDirectories {
  readonly stateDir: string;
  readonly configDir: string;
  /** Sockets of agents and engines, and the directory where a session keeps its own. */
  readonly sockets: readonly string[];
}

/** Where the environment says that agents and engines listen. */
export function socketsOf(env: NodeJS.ProcessEnv): readonly string[] {
  const said = [env.SSH_AUTH_SOCK, env.XDG_RUNTIME_DIR, env.DOCKER_HOST?.replace(/^unix:\/\//, "")];
  return said.filter((path): path is string => path?.startsWith(sep) === true);
}

const SYSTEM = [
  "/bin",
  "/boot",
  "/dev",
  "/etc",
  "/lib",
  "/lib64",
  "/proc",
  "/run",
  "/sbin",
  "/sys",
  "/usr",
  "/var/run",
];
/** Engines keep containers and their volumes here. */
const ENGINES = ["/var/lib/docker", "/var/lib/containerd", "/var/lib/containers"];
/** Everybody's things lie here, sockets among them; a directory inside may be a workspace. */
const SHARED = ["/home", "/tmp", "/var/tmp"];
/** Whosever home it is. */
const PRIVATE =
  /\/(?:\.ssh|\.gnupg|\.aws|\.azure|\.docker|\.kube|\.password-store|\.netrc|\.config\/(?:gcloud|gh|gatehouse))(?=\/|$)/;
const TELLING =
  /^(?:\.env(?:\..+)?|\.npmrc|\.pypirc|\.netrc|\.git-credentials|id_(?:rsa|ed25519|ecdsa)|.*\.pem|.*\.key|credentials\.json)$/;

/** A directory that may be seen in a sandbox, resolved. */
export interface CheckedDirectory {
  readonly path: string;
  /** Which one it is, whatever stands at its path later: see `identityOf`. */
  readonly identity: string;
}

/** A directory that may be a workspace, and what to warn of. */
export interface CheckedWorkspace extends CheckedDirectory {
  readonly warnings: readonly string[];
}

/** Resolves and checks a workspace. Fails with `sandbox.workspace_refused`, saying why. */
export function checkWorkspace(asked: string, own: OwnDirectories): CheckedWorkspace {
  const checked = checkMount(asked, own);
  return { ...checked, warnings: warnings(checked.path) };
}

/** A read-only mount is checked as a workspace is. */
export function checkMount(asked: string, own: OwnDirectories): CheckedDirectory {
  const directory = openDirectory(asked);
  refuseHidden(directory.path, own);
  return directory;
}

/** What a directory is known by while it exists. */
export function identityOf({ dev, ino }: Pick<BigIntStats, "dev" | "ino">): string {
  return `${dev}:${ino}`;
}

const O_PATH = 0x200000;

/** The path is that of what was opened, not of what was asked for: nobody can swap one for the other in between. */
function openDirectory(asked: string): CheckedDirectory {
  let fd: number | undefined;
  try {
    fd = openSync(asked, constants.O_DIRECTORY | (process.platform === "linux" ? O_PATH : constants.O_RDONLY));
    const path = process.platform === "linux" ? readlinkSync(`/proc/self/fd/${fd}`) : realpathSync(asked);
    return { path, identity: identityOf(fstatSync(fd, { bigint: true })) };
  } catch (cause) {
    throw new Problem("sandbox.workspace_refused", { detail: `${asked} is no directory that can be opened.`, cause });
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

function refuseHidden(path: string, own: OwnDirectories): void {
  const home = resolve(homedir());
  for (const secret of [own.stateDir, own.configDir, ...own.sockets, ...ENGINES, join(home, ".ssh")].map(resolve)) {
    if (isWithin(secret, path) || isWithin(path, secret)) throw refused(path, `holds, or lies in, ${secret}`);
  }
  const place = SYSTEM.find((folder) => isWithin(path, folder));
  if (place !== undefined) throw refused(path, `lies in ${place}`);
  const [found] = PRIVATE.exec(path) ?? [];
  if (found !== undefined) throw refused(path, `lies in ${found.slice(1)} of a home`);
  if (SHARED.includes(path)) throw refused(path, "is everybody's; use a directory inside");
  if (isWithin(home, path)) throw refused(path, "is, or holds, the home directory; use a directory inside");
  if (path === sep) throw refused(path, "is the whole file system");
}

function resolve(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}

function isWithin(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder.endsWith(sep) ? folder : folder + sep);
}

function warnings(path: string): readonly string[] {
  const entries = list(path);
  const telling = entries.filter((entry) => TELLING.test(entry.name));
  const sockets = entries.filter((entry) => entry.isSocket());
  return [
    ...(telling.length === 0 ? [] : [`the workspace holds ${names(telling)}: what lies in it, the run can read`]),
    ...(sockets.length === 0 ? [] : [`the workspace holds ${names(sockets)}: the run can talk to who listens there`]),
  ];
}

function list(path: string) {
  try {
    return readdirSync(path, { withFileTypes: true });
  } catch (cause) {
    throw new Problem("sandbox.workspace_refused", { detail: `${path} cannot be listed.`, cause });
  }
}

function names(entries: readonly { readonly name: string }[]): string {
  return entries
    .slice(0, 5)
    .map(({ name }) => name)
    .join(", ");
}

function refused(path: string, why: string): Problem {
  return new Problem("sandbox.workspace_refused", { detail: `${path} ${why}.` });
}
