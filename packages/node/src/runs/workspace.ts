import {
  type BigIntStats,
  closeSync,
  constants,
  fstatSync,
  openSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  statSync,
} from "node:fs";
import { homedir, userInfo } from "node:os";
import { resolve as absolute, dirname, join, sep } from "node:path";
import { escapeUnseen, Problem } from "@gatehouse/core";
import { nativePackages, resolveEntry } from "@gatehouse/kit";
import { mountsBelow, readHostMounts } from "../sandbox/host-mounts.ts";
import { findTellingFiles } from "./telling-files.ts";

/** What of Gatehouse and of its user is seen in no sandbox. */
export interface OwnDirectories {
  readonly stateDir: string;
  readonly configDir: string;
  /** Sockets of agents and engines, and the directory where a session keeps its own. */
  readonly sockets: readonly string[];
  /** What runs outside: a run that could write it would have it do anything. */
  readonly programs: readonly string[];
}

/**
 * The files and directories of this program: its code, the packages that it loads at run time, its runtime, and where
 * the command of any user of this machine keeps its compiled code.
 */
export function ownPrograms(): readonly string[] {
  const compiled = [homedir(), ...accountHome(), ...homesOfUsers()].map(compiledCodeIn);
  return [dirname(resolveEntry("keeper")), ...nativePackages().values(), process.execPath, ...compiled];
}

/** It need not be there yet: a run could make it, where a link leads to its workspace too. */
function compiledCodeIn(home: string): string {
  return join(resolve(join(home, ".cache")), "gatehouse");
}

/** Of the account, whatever HOME says; none where the system does not know the user. */
function accountHome(): readonly string[] {
  try {
    return [userInfo().homedir];
  } catch {
    return [];
  }
}

/** Where the environment says that agents and engines listen. */
export function socketsOf(env: NodeJS.ProcessEnv): readonly string[] {
  const said = [env.SSH_AUTH_SOCK, env.XDG_RUNTIME_DIR, env.DOCKER_HOST?.replace(/^unix:\/\//, "")];
  return said.filter((path): path is string => path?.startsWith(sep) === true);
}

/** Neither these nor what lies in them. */
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
  "/var/backups",
  "/var/cache",
  "/var/log",
  "/var/mail",
  "/var/run",
  "/var/spool",
];
/** Engines keep containers and their volumes here. */
const ENGINES = ["/var/lib/docker", "/var/lib/containerd", "/var/lib/containers"];
/** Everybody's things lie here, sockets among them; a directory inside may be a workspace. */
const SHARED = ["/", "/home", "/media", "/mnt", "/opt", "/root", "/srv", "/tmp", "/var", "/var/lib", "/var/tmp"];
const SHARED_WORDS = "is the system's or everybody's; use a directory inside";
/** In one warning. */
const MAX_NAMED = 5;
const FIRST_USER = 1_000;
const NOBODY = 65_534;
/** Whosever home it is. */
const PRIVATE =
  /\/(?:\.ssh|\.gnupg|\.aws|\.azure|\.docker|\.kube|\.password-store|\.netrc|\.config\/(?:gcloud|gh|gatehouse)|\.local\/state\/gatehouse)(?=\/|$)/;
/** A directory that may be seen in a sandbox, resolved. */
export interface CheckedDirectory {
  readonly path: string;
  /** Which one it is, whatever stands at its path later: see `identityOf`. */
  readonly identity: string;
  readonly warnings: readonly string[];
}

/** Resolves and checks a workspace. Fails with `sandbox.workspace_refused`, saying why. */
export function checkWorkspace(asked: string, own: OwnDirectories): CheckedDirectory {
  const checked = checkMount(asked, own);
  const { path } = checked;
  const program = own.programs.map(resolve).find((held) => isWithin(held, path) || isWithin(path, held));
  if (program !== undefined) {
    throw refused(path, `holds, or lies in, ${program}, a part of Gatehouse that a run could change`);
  }
  return { ...checked, warnings: [...checked.warnings, ...warningsOfContent(checked.path)] };
}

/** A read-only mount is checked as a workspace is. */
export function checkMount(asked: string, own: OwnDirectories): CheckedDirectory {
  const { path, identity } = openDirectory(asked);
  refuseHidden(path, own);
  refuseHiddenMounts(path, own);
  // A run that may write there could have put the link in the place of what was meant.
  return { path, identity, warnings: path === absolute(asked) ? [] : [`${asked} leads to ${path}`] };
}

/** Holds a checked directory to lie below one of the roots. Fails with `sandbox.workspace_refused`. */
export function requireWithin({ path }: CheckedDirectory, roots: readonly string[]): void {
  const isWithinOne = roots.map(resolve).some((root) => path.startsWith(`${root}${sep}`));
  if (!isWithinOne) throw refused(path, "lies below none of the directories that this node allows");
}

/** What a directory is known by while it exists. */
export function identityOf({ dev, ino }: Pick<BigIntStats, "dev" | "ino">): string {
  return `${dev}:${ino}`;
}

const O_PATH = 0x200000;

/** The path is that of what was opened, not of what was asked for: nobody can swap one for the other in between. */
function openDirectory(asked: string): Omit<CheckedDirectory, "warnings"> {
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
  const home = homedir();
  for (const secret of [own.stateDir, own.configDir, ...own.sockets, ...ENGINES, join(home, ".ssh")].map(resolve)) {
    if (isWithin(secret, path) || isWithin(path, secret)) throw refused(path, `holds, or lies in, ${secret}`);
  }
  const place = SYSTEM.find((folder) => isWithin(path, folder));
  if (place !== undefined) throw refused(path, `lies in ${place}`);
  const [found] = PRIVATE.exec(path) ?? [];
  if (found !== undefined) throw refused(path, `lies in ${found.slice(1)} of a home`);
  if (SHARED.some((folder) => isSame(path, folder))) throw refused(path, SHARED_WORDS);
  const held = [home, ...homesOfUsers()].map(resolve).find((folder) => isWithin(folder, path));
  if (held !== undefined) throw refused(path, `is, or holds, the home directory ${held}; use a directory inside`);
}

/** What is mounted below comes along, whatever it is. */
function refuseHiddenMounts(path: string, own: OwnDirectories): void {
  if (process.platform !== "linux") return;
  for (const point of mountsBelow(readHostMounts(), path)) refuseHidden(point, own);
}

/** A run that may write to the outer of two could lead the inner one's mount astray. Fails as `checkMount` does. */
export function refuseNested(places: readonly CheckedDirectory[]): void {
  for (const { path } of places) {
    const outer = places.find((place) => place.path !== path && isBelow(path, place.path));
    if (outer !== undefined) throw refused(path, `lies in ${outer.path}, which the run sees already`);
  }
}

/** Homes of people and of root; daemons' accounts have theirs anywhere. */
function homesOfUsers(): readonly string[] {
  try {
    const rows = readFileSync("/etc/passwd", "utf8").split("\n");
    return rows
      .map((row) => row.split(":"))
      .filter(([, , uid]) => uid === "0" || (Number(uid) >= FIRST_USER && Number(uid) !== NOBODY))
      .flatMap(([, , , , , home = ""]) => (home.startsWith(sep) && home !== sep ? [home] : []));
  } catch {
    return [];
  }
}

function resolve(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}

/** By name, and by what they are: a bind mount gives a directory a second name. */
function isWithin(path: string, folder: string): boolean {
  if (isBelow(path, folder)) return true;
  const identity = identityAt(folder);
  if (identity === undefined) return false;
  for (let at = path; at !== sep; at = dirname(at)) if (identityAt(at) === identity) return true;
  return false;
}

function isSame(path: string, folder: string): boolean {
  return path === folder || (identityAt(path) !== undefined && identityAt(path) === identityAt(folder));
}

function isBelow(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder.endsWith(sep) ? folder : folder + sep);
}

function identityAt(path: string): string | undefined {
  try {
    return identityOf(statSync(path, { bigint: true }));
  } catch {
    return undefined; // not there, or not for this user
  }
}

function warningsOfContent(path: string): readonly string[] {
  const { secrets, sockets, isPartial } = look(path);
  const bound = isPartial ? " (not every folder was looked at)" : "";
  return [
    ...(secrets.length === 0
      ? []
      : [`the workspace holds ${names(secrets)}${bound}: what lies in it, the run can read`]),
    ...(sockets.length === 0 ? [] : [`the workspace holds ${names(sockets)}: the run can talk to who listens there`]),
  ];
}

function look(path: string) {
  try {
    return findTellingFiles(path);
  } catch (cause) {
    throw new Problem("sandbox.workspace_refused", { detail: `${path} cannot be listed.`, cause });
  }
}

/** A name is anybody's text: it goes to a terminal. */
function names(paths: readonly string[]): string {
  const shown = paths.slice(0, MAX_NAMED).map(escapeUnseen).join(", ");
  return paths.length > MAX_NAMED ? `${shown} and ${paths.length - MAX_NAMED} more` : shown;
}

function refused(path: string, why: string): Problem {
  return new Problem("sandbox.workspace_refused", { detail: `${path} ${why}.` });
}
