import type { Stats } from "node:fs";
import { lstat, mkdir, realpath, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { Problem } from "@gatehouse/core";
import { errorCode, systemReason } from "./error-code.ts";

/** The longest path that fits `sun_path` with its final NUL. */
const MAX_SOCKET_PATH_BYTES = 107;
/** The longest socket name that is opened below the state directory. */
const LONGEST_SOCKET_NAME = "keepers/0123456789abcdef.sock";
/** Names below the state directory are our own: plain segments, never what came from outside. */
const SAFE_NAME = /^[A-Za-z0-9_-][A-Za-z0-9._-]*(?:\/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$/;

/** A directory that only this user can enter. */
export interface StateDirectory {
  /** Absolute. */
  readonly path: string;
  /** The path of `name` below it; `name` may hold `/` but nothing that climbs. */
  file(name: string): string;
  /** Makes or checks a 0700 directory below it and returns its path. Fails with `state.unsafe_directory`. */
  directory(name: string): Promise<string>;
}

/**
 * Opens the state directory and creates it (0700) when it is not there. A symbolic link, another owner, any access
 * for group or others, a directory above it in which any user may put another in its place: `state.unsafe_directory`,
 * and nothing is repaired. A path under which a socket's name would exceed 107 bytes: `config.socket_path_too_long`.
 */
export async function openStateDirectory(path: string): Promise<StateDirectory> {
  const root = resolve(path);
  const longest = Buffer.byteLength(join(root, LONGEST_SOCKET_NAME));
  if (longest > MAX_SOCKET_PATH_BYTES) {
    throw new Problem("config.socket_path_too_long", {
      detail: `${root} would make socket paths of ${longest} bytes; choose a shorter state directory.`,
    });
  }
  await openPrivateDirectory(root);
  await refuseOpenAncestor(root);
  const file = (name: string) => {
    if (!SAFE_NAME.test(name)) throw new Error(`not a name below the state directory: ${JSON.stringify(name)}`);
    return join(root, name);
  };
  return {
    path: root,
    file,
    directory: async (name) => {
      const below = file(name);
      await openPrivateDirectory(below);
      return below;
    },
  };
}

/**
 * For callers of a daemon: what listens in a directory that is not this user's alone may be anybody, and is told
 * nothing; nor is what comes where there is none yet. Fails with `state.unsafe_directory`, `daemon.unreachable`.
 */
export async function requireStateDirectory(path: string): Promise<void> {
  const root = resolve(path);
  const stats = await statDirectory(root);
  if (stats === undefined) throw new Problem("daemon.unreachable", { detail: `${root} is not there.` });
  refuseUnsafe(root, stats);
  await refuseOpenAncestor(root);
}

/** The directory above `path` in which any user may rename and put what they like: it has no sticky bit. */
export async function openAncestor(path: string): Promise<string | undefined> {
  const parent = dirname(resolve(path));
  // A link on the way may be exchanged where it stands, and what it leads to where that stands.
  for (const one of new Set([...ancestors(parent), ...ancestors(await realpath(parent))])) {
    const { mode } = await stat(one);
    if ((mode & OTHERS_WRITE) !== 0 && (mode & STICKY) === 0) return one;
  }
  return undefined;
}

const OTHERS_WRITE = 0o002;
const STICKY = 0o1000;

function ancestors(path: string): readonly string[] {
  const parent = dirname(path);
  return parent === path ? [path] : [path, ...ancestors(parent)];
}

async function refuseOpenAncestor(path: string): Promise<void> {
  const open = await openAncestor(path);
  if (open === undefined) return;
  const detail = `In ${open} any user can put another directory in the place of ${path}; run: chmod o-w ${open}.`;
  throw new Problem("state.unsafe_directory", { detail });
}

async function openPrivateDirectory(path: string): Promise<void> {
  const before = await statDirectory(path);
  if (before === undefined) await makeDirectory(path);
  const stats = before ?? (await statDirectory(path));
  if (stats === undefined) throw new Problem("state.unsafe_directory", { detail: `${path} vanished.` });
  refuseUnsafe(path, stats);
}

function refuseUnsafe(path: string, stats: Stats): void {
  const fault = directoryFault(stats);
  if (fault !== undefined) throw new Problem("state.unsafe_directory", { detail: `${path} ${fault}.` });
}

async function statDirectory(path: string): Promise<Stats | undefined> {
  try {
    return await lstat(path);
  } catch (failure) {
    if (errorCode(failure) === "ENOENT") return undefined;
    throw new Problem("state.unsafe_directory", { detail: `${path}: ${systemReason(failure)}.`, cause: failure });
  }
}

/** One level after the other: Node.js's own recursion never ends where a parent refuses by saying that it is not there. */
async function makeDirectory(path: string): Promise<void> {
  const parent = dirname(path);
  if (parent !== path && (await statDirectory(parent)) === undefined) await makeDirectory(parent);
  try {
    await mkdir(path, { mode: 0o700 });
  } catch (failure) {
    if (errorCode(failure) === "EEXIST") return;
    throw new Problem("state.write_failed", {
      detail: `${path} cannot be created (${errorCode(failure)}).`,
      cause: failure,
    });
  }
}

function directoryFault(stats: Stats): string | undefined {
  if (stats.isSymbolicLink()) return "is a symbolic link";
  if (!stats.isDirectory()) return "is not a directory";
  if (stats.uid !== process.getuid?.()) return "belongs to another user";
  const mode = stats.mode & 0o777;
  if (mode !== 0o700) return `has mode ${mode.toString(8).padStart(4, "0")}; run: chmod 700`;
  return undefined;
}
